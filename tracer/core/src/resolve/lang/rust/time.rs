//! Durations and points in time, without what wraps their numbers.

use super::part::Part;
use crate::model::types::{Member, Shape};
use crate::resolve::types::TypeBuilder;

/// `Duration`, `Instant`, `SystemTime`: seconds and nanoseconds.
pub(super) fn time<'a>(builder: &mut TypeBuilder<'a>, whole: &Part<'a>) -> Option<Shape> {
    let time = whole.bare(builder);
    let names = [("secs", "nanos"), ("tv_sec", "tv_nsec")];
    let (seconds, nanoseconds) = names.iter().find_map(|(seconds, nanoseconds)| {
        Some((time.member(builder, seconds)?, time.member(builder, nanoseconds)?))
    })?;
    let mut member = |part: &Part<'a>, name: &str| {
        part.number(builder)?;
        let bare = part.bare(builder).as_member(builder);
        Some(Member { name: Some(name.to_owned()), ..bare })
    };
    Some(Shape::Record(vec![member(&seconds, "seconds")?, member(&nanoseconds, "nanoseconds")?]))
}
