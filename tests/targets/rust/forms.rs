//! Types of Rust for builds that differ in nothing but where their debug info is kept.

use std::hint::black_box;
use std::io::{BufRead, Write};

pub enum Shape {
    Empty,
    Circle { radius: u32 },
    Named(String),
}

pub struct Order {
    pub id: u64,
    pub items: Vec<u16>,
    pub shape: Shape,
    pub next: Option<Box<Order>>,
}

#[inline(never)]
pub fn the_form(order: &Order, text: &str, number: i32, calls: &mut u64) -> i64 {
    let own = Order { id: 9, items: vec![7, 8], shape: Shape::Named("own".to_owned()), next: None };
    black_box(&own);
    *calls += 1; // here
    black_box(&calls);
    black_box((&own, order, text, number));
    i64::from(number) + own.id as i64
}

fn main() {
    let last = Order { id: 2, items: vec![], shape: Shape::Empty, next: None };
    let first = Order {
        id: 1,
        items: vec![10, 20, 30],
        shape: Shape::Circle { radius: 5 },
        next: Some(Box::new(last)),
    };
    let mut calls = 0;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        if line.is_ok_and(|line| line == "go") {
            let text = black_box("text of the form");
            black_box(the_form(black_box(&first), text, black_box(42), &mut calls));
            println!("done {calls}");
            std::io::stdout().flush().unwrap();
        }
    }
}
