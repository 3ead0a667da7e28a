//! `std::chrono`: counts of a unit.

use super::unnamed;
use crate::model::container::{Note, Says, Wrapper};
use crate::model::types::Shape;
use crate::resolve::lang::class::Class;

/// Units by the ratio of a second, as it is written.
const UNITS: &[(&str, &str)] = &[
    ("1, 1000000000", "ns"),
    ("1, 1000000", "us"),
    ("1, 1000", "ms"),
    ("1, 1", "s"),
    ("60, 1", "min"),
    ("3600, 1", "h"),
    ("86400, 1", "days"),
];

/// `std::chrono::duration`.
pub(super) fn duration(class: &mut Class<'_, '_>) -> Option<Shape> {
    let inner = class.member("__r").or_else(|| class.member("__rep_"))?;
    let period = class.arguments().into_iter().nth(1)?.name()?;
    let ratio = period.strip_prefix("ratio<")?.strip_suffix('>')?.replace(['L', 'l'], "");
    let unit = UNITS.iter().find(|(known, _)| *known == ratio.trim());
    let unit = unit.map_or_else(|| format!("({ratio}) s"), |(_, unit)| (*unit).to_owned());
    let notes = vec![Note { name: "unit".to_owned(), says: Says::Text(unit) }];
    Some(Shape::Wrapper(Box::new(Wrapper { inner: unnamed(inner), alive: None, notes })))
}

/// `std::chrono::time_point`: the time since its clock began.
pub(super) fn time_point(class: &mut Class<'_, '_>) -> Option<Shape> {
    let inner = class.member("__d").or_else(|| class.member("__d_"))?;
    Some(Shape::Wrapper(Box::new(Wrapper {
        inner: unnamed(inner),
        alive: None,
        notes: Vec::new(),
    })))
}
