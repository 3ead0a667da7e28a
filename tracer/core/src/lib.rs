//! The pipe: resolve → plan → attach → (kernel) capture → decode → deliver, glued by `engine`.
//!
//! A stage knows its input and its output, never its neighbours' insides; `engine` alone knows
//! the order. See `tracer/ARCHITECTURE.md`.
#![warn(missing_docs)]

pub mod model;

pub mod binary;

pub mod resolve;

pub mod plan;

pub mod attach;

pub mod decode;

pub mod engine;

#[cfg(test)]
mod random;
