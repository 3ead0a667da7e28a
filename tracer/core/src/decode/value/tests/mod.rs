//! Types and hand-made images → values.

mod hostile;
mod late;
mod objects;
mod texts;

use super::*;
use crate::decode::fake::{FakeCode, object, record};
use crate::model::record::{Absence, Item, Record};
use crate::model::types::{Encoding, Member};
use crate::model::value::Field;
use tracer_common::status::Status;
use tracer_common::wire::ItemKind;

/// A graph under construction.
#[derive(Default)]
struct Types(TypeGraph);

impl Types {
    fn add(&mut self, name: &str, size: impl Into<Option<u64>>, shape: Shape) -> TypeId {
        let ty = Type { name: name.to_owned(), size: size.into(), shape };
        self.0.types.push(ty);
        TypeId(self.0.types.len() as u32 - 1)
    }

    fn scalar(&mut self, name: &str, encoding: Encoding, size: u8) -> TypeId {
        self.add(name, u64::from(size), Shape::Scalar(Scalar { encoding, size }))
    }

    fn int(&mut self) -> TypeId {
        self.scalar("int", Encoding::Signed, 4)
    }

    fn long(&mut self) -> TypeId {
        self.scalar("unsigned long", Encoding::Unsigned, 8)
    }

    fn pointer(&mut self, target: TypeId) -> TypeId {
        let name = format!("{} *", self.0.get(target).name);
        self.add(&name, 8, Shape::Pointer(target))
    }

    fn array(&mut self, element: TypeId, count: u64) -> TypeId {
        let ty = self.0.get(element);
        let (name, size) = (format!("{}[{count}]", ty.name), ty.size.map(|size| size * count));
        self.add(&name, size, Shape::Array { element, count: Some(count) })
    }

    fn record(&mut self, name: &str, size: u64, members: Vec<Member>) -> TypeId {
        self.add(name, size, Shape::Record(members))
    }

    /// `struct node { long id; struct node *next; struct node *prev; }`.
    fn node(&mut self) -> TypeId {
        let id = self.long();
        let next = TypeId(id.0 + 1);
        let node = TypeId(id.0 + 2);
        self.add("struct node *", 8, Shape::Pointer(node));
        let members = vec![member("id", 0, id), member("next", 8, next), member("prev", 16, next)];
        self.record("struct node", 24, members)
    }
}

fn member(name: &str, offset: u64, type_id: TypeId) -> Member {
    Member { name: Some(name.to_owned()), offset, type_id, bits: None }
}

fn fault(kind: ItemKind, address: u64, want: u64, absent: Option<Absence>) -> Item {
    let mut item = crate::decode::fake::item(kind, address, &[]);
    (item.want, item.status, item.absent) = (want, Status::Fault, absent);
    item
}

fn memory(address: u64) -> Source {
    Source::Memory { address, stack: false }
}

/// The values of variables `a`, `b`, … with these types and places.
fn decode_all(
    types: &Types,
    record: &Record,
    limits: &Limits,
    roots: Vec<(TypeId, Source)>,
) -> Vec<Value> {
    let image = Image::new(record);
    let code = FakeCode { symbols: [(0x40_1000, "handler")].into(), ..FakeCode::default() };
    let world = World { image: &image, types: &types.0, code: &code, limits };
    let names = ["a", "b", "c", "d"];
    let roots: Vec<_> = roots
        .into_iter()
        .zip(names)
        .map(|((type_id, source), name)| Root { name, type_id, source })
        .collect();
    values(&world, &roots).into_iter().map(|typed| typed.value).collect()
}

fn decode_with(types: &Types, record: &Record, limits: &Limits, id: TypeId, at: u64) -> Value {
    decode_all(types, record, limits, vec![(id, memory(at))]).remove(0)
}

/// The value of one variable `a` in memory.
fn decode(types: &Types, items: Vec<Item>, id: TypeId, at: u64) -> Value {
    decode_with(types, &record(items), &Limits::DEFAULT, id, at)
}

/// A value in one line, for comparing.
fn show(value: &Value) -> String {
    let typed = |typed: &Typed| show(&typed.value);
    let field = |field: &Field| {
        format!("{}: {}", field.name.as_deref().unwrap_or("_"), show(&field.value.value))
    };
    let list = |fields: &[Field]| fields.iter().map(field).collect::<Vec<_>>().join(", ");
    let why = |cut: &Option<Reason>| {
        cut.as_ref().map_or(String::new(), |reason| format!(" cut {}", reason.code.code()))
    };
    match value {
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Char { code, character } => format!("{code} {character:?}"),
        Value::Float32(number) => number.to_string(),
        Value::Float64(number) => number.to_string(),
        Value::FloatText(text) => text.clone(),
        Value::Enumerator { name, number } => format!("{name:?}={number}"),
        Value::Record(fields) => format!("{{{}}}", list(fields)),
        Value::Union(fields) => format!("union {{{}}}", list(fields)),
        Value::Variant { name, fields } => format!("{name}({})", list(fields)),
        Value::Array { items, total, cut } => {
            let items: Vec<_> = items.iter().map(typed).collect();
            format!("[{}] of {total:?}{}", items.join(", "), why(cut))
        }
        Value::Map { entries, total, cut } => {
            let entry = |(key, value): &(Typed, Typed)| format!("{}: {}", typed(key), typed(value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}} of {total:?}{}", entries.join(", "), why(cut))
        }
        Value::Noted { notes, of } => format!("{} {notes:?}", typed(of)),
        Value::Pointer { target, .. } => format!("-> {}", typed(target)),
        Value::Reference { shown_at, .. } => format!("see {shown_at}"),
        Value::Address(address) => format!("{address:#x}"),
        Value::Function { name, .. } => format!("fn {name:?}"),
        Value::Text { bytes, total, at_least, cut, .. } => {
            let least = if *at_least { "at least " } else { "" };
            let total = total.map_or(String::new(), |total| format!(" of {least}{total}"));
            format!("{:?}{total}{}", String::from_utf8_lossy(bytes), why(cut))
        }
        Value::Nothing => "nothing".to_owned(),
        Value::Unavailable(reason) => format!("<{}>", reason.code.code()),
    }
}
