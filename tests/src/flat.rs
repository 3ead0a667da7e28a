//! The values of a capture as a flat table, to be compared with what the source says: a path in
//! C's words for each leaf (`list->next->number`, `(*array)[2]`), and the leaf as text.

use std::collections::{BTreeMap, BTreeSet};
use tracer_core::model::capture::Variable;
use tracer_core::model::reason::ReasonCode;
use tracer_core::model::value::{Field, Typed, Value};

/// A leaf of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leaf {
    /// Shown: `42`, `-0.0`, `65 'A'`, `GREEN 5`, `"text"`, `null`, `pointer`, `same as PATH`.
    Is(String),
    /// Not shown, and why.
    Missing(ReasonCode),
}

/// The leaves of variables by path. A second variable of one name (of an outer scope) is
/// `name#2`.
pub fn flatten(variables: &[Variable]) -> BTreeMap<String, Leaf> {
    let mut leaves = BTreeMap::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for variable in variables {
        let number = names.entry(&variable.name).or_default();
        *number += 1;
        let path = match number {
            1 => variable.name.clone(),
            number => format!("{}#{number}", variable.name),
        };
        add(&mut leaves, &path, &variable.value);
    }
    leaves
}

fn add(leaves: &mut BTreeMap<String, Leaf>, path: &str, typed: &Typed) {
    let text = match &typed.value {
        Value::Unavailable(reason) => {
            leaves.insert(path.to_owned(), Leaf::Missing(reason.code));
            return;
        }
        Value::Record(fields) | Value::Union(fields) | Value::Variant { fields, .. } => {
            return add_fields(leaves, path, fields);
        }
        Value::Array { items, total, cut } => {
            for (index, item) in items.iter().enumerate() {
                add(leaves, &element(path, index), item);
            }
            if let Some(cut) = cut {
                leaves.insert(format!("{}…", element(path, items.len())), Leaf::Missing(cut.code));
            }
            match total {
                Some(total) => format!("{total} elements"),
                None => "elements".to_owned(),
            }
        }
        Value::Map { entries, total, cut } => {
            for (index, (key, value)) in entries.iter().enumerate() {
                add(leaves, &format!("{}.key", element(path, index)), key);
                add(leaves, &format!("{}.value", element(path, index)), value);
            }
            if let Some(cut) = cut {
                let rest = format!("{}…", element(path, entries.len()));
                leaves.insert(rest, Leaf::Missing(cut.code));
            }
            total.map_or("entries".to_owned(), |total| format!("{total} entries"))
        }
        Value::Noted { of, .. } => return add(leaves, path, of),
        Value::Pointer { target, .. } => {
            add(leaves, &format!("*{path}"), target);
            "pointer".to_owned()
        }
        leaf => text_of(leaf),
    };
    leaves.insert(path.to_owned(), Leaf::Is(text));
}

fn add_fields(leaves: &mut BTreeMap<String, Leaf>, path: &str, fields: &[Field]) {
    for field in fields {
        let path = match (&field.name, path.strip_prefix('*')) {
            (Some(name), Some(pointer)) => format!("{pointer}->{name}"),
            (Some(name), None) => format!("{path}.{name}"),
            // Members of an anonymous one are written as its owner's.
            (None, _) => path.to_owned(),
        };
        add(leaves, &path, &field.value);
    }
}

fn element(path: &str, index: usize) -> String {
    if path.starts_with('*') { format!("({path})[{index}]") } else { format!("{path}[{index}]") }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Char { code, character: Some(character) } => format!("{code} {character:?}"),
        Value::Char { code, character: None } => code.to_string(),
        Value::Float32(number) => format!("{number:?}"),
        Value::Float64(number) => format!("{number:?}"),
        Value::FloatText(text) => text.clone(),
        Value::Enumerator { name: Some(name), number } => format!("{name} {number}"),
        Value::Enumerator { name: None, number } => number.to_string(),
        Value::Reference { shown_at, .. } => format!("same as {shown_at}"),
        Value::Address(0) => "null".to_owned(),
        Value::Address(_) => "address".to_owned(),
        Value::Function { name: Some(name), .. } => format!("function {name}"),
        Value::Function { name: None, .. } => "function".to_owned(),
        Value::Text { bytes, cut: None, .. } => format!("\"{}\"", bytes.escape_ascii()),
        Value::Text { bytes, total, at_least, .. } => {
            let of = total.map_or("?".to_owned(), |total| total.to_string());
            let more = if *at_least { "+" } else { "" };
            format!("\"{}\" of {of}{more}", bytes.escape_ascii())
        }
        other => format!("{other:?}"),
    }
}

/// How a table compares with what is expected.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Values that are shown, and right.
    pub right: usize,
    /// Values that are not shown, with the reason.
    pub missing: Vec<(String, ReasonCode)>,
    /// What is wrong: another value, a path that is neither shown nor missing, a value that
    /// nobody expects.
    pub wrong: Vec<String>,
}

/// Compares leaves with lines of `path = text`; empty lines say nothing, the text `?` fits
/// whatever is shown, and what is `optional` need not be there. Every leaf must be expected, and
/// every expectation be met or be missing with a reason.
pub fn compare(leaves: &BTreeMap<String, Leaf>, expected: &str) -> Comparison {
    let mut comparison = Comparison::default();
    let mut known = BTreeSet::new();
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let optional = line.strip_prefix("optional ");
        let (path, text) = optional.unwrap_or(line).split_once(" = ").unwrap_or((line, ""));
        known.insert(path);
        match leaves.get(path) {
            Some(Leaf::Is(shown)) if shown == text || text == "?" => comparison.right += 1,
            Some(Leaf::Is(shown)) => {
                comparison.wrong.push(format!("{path}: shown {shown}, the source says {text}"));
            }
            Some(Leaf::Missing(reason)) => comparison.missing.push((path.to_owned(), *reason)),
            None if optional.is_some() => {}
            None => match missing_owner(leaves, path) {
                Some(reason) => comparison.missing.push((path.to_owned(), reason)),
                None => comparison.wrong.push(format!("{path}: neither shown nor missing")),
            },
        }
    }
    for (path, leaf) in leaves {
        if let Leaf::Is(shown) = leaf
            && !known.contains(path.as_str())
        {
            comparison.wrong.push(format!("{path}: shown {shown}, which nobody expects"));
        }
    }
    comparison
}

/// Why the value is missing that `path` is a part of.
fn missing_owner(leaves: &BTreeMap<String, Leaf>, path: &str) -> Option<ReasonCode> {
    // `*a` holds `a->b`, and `a` both.
    let plain = |path: &str| path.replace(['*', '(', ')', '…'], "");
    let wanted = plain(path);
    leaves.iter().find_map(|(owner, leaf)| match leaf {
        Leaf::Missing(reason) if wanted.starts_with(&plain(owner)) => Some(*reason),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer_core::model::capture::Provenance;
    use tracer_core::model::reason::Reason;
    use tracer_core::model::resolved::VariableKind;

    fn typed(value: Value) -> Typed {
        Typed { type_name: "t".to_owned(), value }
    }

    fn field(name: &str, value: Value) -> Field {
        Field { name: Some(name.to_owned()), value: typed(value) }
    }

    fn sample() -> BTreeMap<String, Leaf> {
        let missing = Value::Unavailable(Reason::from(ReasonCode::LimitDepth));
        let pointer = |address, target| Value::Pointer {
            address: Some(address),
            target: Box::new(typed(target)),
            provenance: Provenance::Live,
        };
        let next = pointer(1, missing);
        let items = vec![typed(Value::Signed(1)), typed(Value::Signed(-2))];
        let array = Value::Array { items, total: Some(2), cut: None };
        let record = Value::Record(vec![field("next", next), field("numbers", array)]);
        let head = pointer(2, record);
        flatten(&[Variable {
            name: "head".to_owned(),
            kind: VariableKind::Local,
            value: typed(head),
            provenance: Provenance::Live,
            moved: None,
        }])
    }

    #[test]
    fn leaves_have_the_paths_of_the_language() {
        let paths: Vec<String> = sample().into_keys().collect();
        let expected = [
            "*head->next",
            "head",
            "head->next",
            "head->numbers",
            "head->numbers[0]",
            "head->numbers[1]",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn wrong_and_unexpected_values_are_told() {
        let whole = "head = pointer\nhead->next = pointer\nhead->next->number = 3\n\
                     head->numbers = 2 elements\nhead->numbers[0] = 1\nhead->numbers[1] = -2";
        let comparison = compare(&sample(), whole);
        assert_eq!(comparison.right, 5, "{comparison:?}");
        assert_eq!(comparison.missing.len(), 1, "{comparison:?}");
        assert!(comparison.wrong.is_empty(), "{comparison:?}");
        assert_eq!(compare(&sample(), &whole.replace("-2", "2")).wrong.len(), 1);
        assert_eq!(compare(&sample(), &whole.replace("next->number", "other")).wrong.len(), 1);
        assert_eq!(compare(&sample(), "head = pointer").wrong.len(), 4);
    }
}
