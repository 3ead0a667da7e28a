//! Values on one line as a test states them: `{"a": [1, 2]}`. Addresses and capacities are left out,
//! for they are the library's own business.

use tracer_core::model::reason::Reason;
use tracer_core::model::value::{Field, Said, Typed, Value};

/// Elements of what is over the limit that are written.
const FEW: usize = 8;

/// A value on one line.
pub fn line(value: &Value) -> String {
    match value {
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Char { code, character: Some(character) } => format!("{code} {character:?}"),
        Value::Char { code, character: None } => code.to_string(),
        Value::Float32(number) => number.to_string(),
        Value::Float64(number) => number.to_string(),
        Value::FloatText(text) => text.clone(),
        Value::Enumerator { name, number } => name.clone().unwrap_or_else(|| format!("({number})")),
        Value::Record(own) => format!("{{{}}}", fields(own)),
        Value::Union(views) => format!("union {{{}}}", fields(views)),
        Value::Variant { name, fields: own } if own.is_empty() => name.clone(),
        Value::Variant { name, fields: own } => format!("{name} {{{}}}", fields(own)),
        Value::Array { items, total, cut } => {
            format!("[{}]", list(items.iter().map(|item| line(&item.value)), *total, cut.as_ref()))
        }
        Value::Map { entries, total, cut } => {
            let entry = |(key, value): &(Typed, Typed)| {
                format!("{}: {}", line(&key.value), line(&value.value))
            };
            format!("{{{}}}", list(entries.iter().map(entry), *total, cut.as_ref()))
        }
        Value::Noted { notes, of } => {
            let said = notes.iter().filter(|(name, _)| name != "capacity").map(said);
            let said: Vec<String> = said.collect();
            match said.is_empty() {
                true => line(&of.value),
                false => format!("{} ({})", line(&of.value), said.join(", ")),
            }
        }
        Value::Pointer { target, .. } => format!("-> {}", line(&target.value)),
        Value::Reference { shown_at, .. } => format!("see {shown_at}"),
        Value::Address(0) => "null".to_owned(),
        Value::Address(_) => "address".to_owned(),
        Value::Function { name, .. } => name.clone().unwrap_or_else(|| "unknown".to_owned()),
        Value::Text { bytes, cut, .. } => {
            let text = format!("{:?}", String::from_utf8_lossy(bytes));
            cut.as_ref().map_or(text.clone(), |cut| format!("{text} {}", cut.code.code()))
        }
        Value::Nothing => "nothing".to_owned(),
        Value::Unavailable(reason) => reason.code.code().to_owned(),
    }
}

fn said((name, said): &(String, Said)) -> String {
    match said {
        Said::Number(number) => format!("{name} {number}"),
        Said::Text(text) => format!("{name} {text}"),
    }
}

/// Members; those without members of their own or a name, such as empty bases, are left out.
fn fields(all: &[Field]) -> String {
    let is_empty = |field: &&Field| {
        field.name.is_none() && matches!(&field.value.value, Value::Record(own) if own.is_empty())
    };
    let field = |field: &Field| match &field.name {
        Some(name) => format!("{name}: {}", line(&field.value.value)),
        None => line(&field.value.value),
    };
    let all = all.iter().filter(|field| !is_empty(field)).map(field);
    all.collect::<Vec<_>>().join(", ")
}

/// Elements, and why there are no more.
fn list(items: impl Iterator<Item = String>, total: Option<u64>, cut: Option<&Reason>) -> String {
    let mut items: Vec<String> = items.collect();
    if let Some(cut) = cut {
        items.truncate(FEW);
        let total = total.map_or(String::new(), |total| format!(" of {total}"));
        items.push(format!("{}{total}", cut.code.code()));
    }
    items.join(", ")
}
