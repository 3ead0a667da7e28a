//! As chaos.c; panics unwind through the probed function, children are programs of their own, and
//! no library is loaded.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static COUNT: AtomicU64 = AtomicU64::new(0);

struct Cup {
    tea: String,
    sips: Vec<u64>,
}

#[inline(never)]
fn pour(cup: &mut Cup, number: u64) -> u64 {
    // Dropped on the way of the panic.
    let copy = format!("{} {number}", cup.tea);
    let room = cup.sips.len() as u64;
    cup.sips[(number % room) as usize] = number;
    if number % 7 == 3 {
        std::panic::panic_any(copy);
    }
    number + copy.len() as u64
}

fn call(cup: &mut Cup, times: u64) {
    let mut caught = 0;
    for number in 0..times {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| pour(cup, number))) {
            let text = payload.downcast::<String>().unwrap();
            caught += u64::from(text.ends_with(&number.to_string()));
        }
        COUNT.fetch_add(1, Relaxed);
    }
    assert_eq!(caught, (times + 3) / 7);
}

fn cup(tea: &str) -> Cup {
    Cup { tea: tea.to_owned(), sips: vec![0; 16] }
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut own = cup("sencha");
    if std::env::args().nth(1).is_some() {
        call(&mut own, 1000);
        return;
    }
    std::thread::spawn(|| {
        let mut own = cup("gyokuro");
        loop {
            call(&mut own, 4);
            std::thread::sleep(Duration::from_micros(800));
        }
    });
    println!("ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if let Some(program) = line.strip_prefix("become ") {
            panic!("{}", Command::new(program).exec());
        } else if line == "fork" {
            let child = Command::new("/proc/self/exe").arg("child").status();
            assert!(child.unwrap().success());
        } else {
            call(&mut own, 1000);
        }
        println!("done {}", COUNT.load(Relaxed));
        std::io::stdout().flush().unwrap();
    }
}
