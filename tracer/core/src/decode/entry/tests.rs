//! Entry values over stated calls.
