//! Tells the crate where the kernel program's object file is.
fn main() {
    println!("cargo:rerun-if-env-changed=TRACER_BPF_OBJECT");
}
