//! A value on one line, in words of our own: `{x: 1, y: -2}`, `["a", "b"] (capacity 2)`,
//! `→ 5 (strong 2, weak 0)`. What is not shown is its reason: `<limit_depth>`.

use std::fmt::Write as _;
use tracer_core::model::reason::Reason;
use tracer_core::model::value::{Field, Said, Typed, Value};

/// A value on one line. The entries of maps and sets without an order of their own are sorted.
pub fn brief(typed: &Typed) -> String {
    match &typed.value {
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Char { character: Some(character), .. } => format!("{character:?}"),
        Value::Char { code, character: None } => code.to_string(),
        Value::Float32(number) => format!("{number:?}"),
        Value::Float64(number) => format!("{number:?}"),
        Value::FloatText(text) => text.clone(),
        Value::Enumerator { name: Some(name), .. } => name.clone(),
        Value::Enumerator { name: None, number } => number.to_string(),
        Value::Record(own) | Value::Union(own) => fields(own),
        Value::Variant { name, fields: own } => match own.as_slice() {
            [] => name.clone(),
            [only] if name.is_empty() => brief(&only.value),
            [only] if only.name.as_deref() == Some("__0") => {
                format!("{name}({})", brief(&only.value))
            }
            _ => format!("{name} {}", fields(own)),
        },
        Value::Array { items, total, cut } => {
            let mut items: Vec<String> = items.iter().map(brief).collect();
            sort(typed, &mut items);
            format!("[{}]", listed(items, *total, cut.as_ref()))
        }
        Value::Map { entries, total, cut } => {
            let entry = |(key, value): &(Typed, Typed)| format!("{}: {}", brief(key), brief(value));
            let mut entries: Vec<String> = entries.iter().map(entry).collect();
            sort(typed, &mut entries);
            format!("{{{}}}", listed(entries, *total, cut.as_ref()))
        }
        Value::Noted { notes, of } => {
            let note = |(name, said): &(String, Said)| match said {
                Said::Number(number) => format!("{name} {number}"),
                Said::Text(text) if text.starts_with('<') => format!("{name} <unavailable>"),
                Said::Text(text) => format!("{name} {text}"),
            };
            let notes: Vec<String> = notes.iter().map(note).collect();
            match notes.is_empty() {
                true => brief(of),
                false => format!("{} ({})", brief(of), notes.join(", ")),
            }
        }
        Value::Pointer { target, .. } => format!("→ {}", brief(target)),
        Value::Reference { shown_at, .. } => format!("same as {shown_at}"),
        Value::Address(0) => "null".to_owned(),
        Value::Address(_) => "address".to_owned(),
        Value::Function { name, .. } => name.clone().unwrap_or_else(|| "function".to_owned()),
        Value::Text { bytes, total, cut, .. } => {
            let text = format!("{:?}", String::from_utf8_lossy(bytes));
            let more = cut.as_ref().zip(total.as_ref());
            let more = more.map(|(cut, total)| format!("… of {total} <{}>", cut.code.code()));
            text + &more.unwrap_or_default()
        }
        Value::Nothing => "()".to_owned(),
        Value::Unavailable(reason) => format!("<{}>", reason.code.code()),
    }
}

fn fields(fields: &[Field]) -> String {
    let field = |field: &Field| match &field.name {
        Some(name) => format!("{name}: {}", brief(&field.value)),
        None => brief(&field.value),
    };
    format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn sort(typed: &Typed, items: &mut [String]) {
    if typed.type_name.contains("Hash") {
        items.sort();
    }
}

/// Elements, and of how many they are some. Of many the first and the last are enough.
fn listed(items: Vec<String>, total: Option<u64>, cut: Option<&Reason>) -> String {
    let mut text = match items.as_slice() {
        [first, .., last] if items.len() > 10 => {
            format!("{first}, …{} more…, {last}", items.len() - 2)
        }
        _ => items.join(", "),
    };
    if let Some(cut) = cut {
        let total = total.map_or("?".to_owned(), |total| total.to_string());
        // Writing to a String can't fail.
        write!(text, "… of {total} <{}>", cut.code.code()).ok();
    }
    text
}
