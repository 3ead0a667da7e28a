use tracer_core::attach::load::*;
fn main() {
    match Program::load(&LoadOptions::default()) {
        Ok(p) => println!("ok {} insns", p.verified_instructions().unwrap()),
        Err(e) => {
            let s = e.to_string();
            let n = s.len();
            println!("{}\n...\n{}", &s[..n.min(3000)], &s[n.saturating_sub(3500)..]);
        }
    }
}
