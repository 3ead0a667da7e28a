//! A capture → its leaves.

use super::leaf::{Leaf, Leaves, View};
use super::limits::{DEPTH, ITEMS, STACK_FRAMES, TEXT_BYTES};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tracer_core::model::capture::{Capture, Provenance, StackEnd};
use tracer_core::model::reason::Reason;
use tracer_core::model::value::{Field, Typed, Value};

/// General registers in the order of a record: psABI x86-64, figure 3.36.
const REGISTERS: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];

/// The view of a capture.
pub fn view(capture: &Capture) -> View {
    let mut flat = Flat { leaves: Leaves::new(), late: BTreeSet::new(), shown: HashMap::new() };
    let mut paths = BTreeSet::new();
    for (name, value) in REGISTERS.iter().zip(&capture.registers) {
        flat.put(format!("${name}"), Leaf::Number((*value).into()));
    }
    flat.stack(capture);
    let variables = || {
        capture.frames.iter().enumerate().flat_map(|(number, frame)| {
            frame.variables.iter().map(move |variable| (number, variable))
        })
    };
    for (_, variable) in variables() {
        flat.index(variable.name.clone(), &variable.value, false);
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let (mut reasons, mut moved) = (BTreeMap::new(), BTreeMap::new());
    for (number, variable) in variables() {
        let key = format!("#{number} {}", variable.name);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        let path = if *count == 1 { key } else { format!("{key}~{count}") };
        paths.insert(path.clone());
        if let Value::Unavailable(reason) = &variable.value.value {
            reasons.insert(path.clone(), in_words(reason));
        }
        let path = match variable.provenance {
            Provenance::EntryValue | Provenance::EntryProbe => format!("{path}@entry"),
            Provenance::MovedPc => {
                moved.extend(variable.moved.clone().map(|other| (path.clone(), other)));
                format!("{path}@moved")
            }
            Provenance::ReadAfterHit => {
                flat.late.insert(path.clone());
                path
            }
            _ => path,
        };
        flat.value(path, &variable.value, 0);
    }
    let late = flat.late;
    View { variables: paths, reasons, moved, late, ..flat.leaves.into_iter().collect() }
}

struct Flat<'a> {
    leaves: Leaves,
    /// Paths of what was read after the hit.
    late: BTreeSet<String>,
    /// Values by the place where they are shown, as a capture writes it.
    shown: HashMap<String, Vec<&'a Typed>>,
}

impl<'a> Flat<'a> {
    fn stack(&mut self, capture: &Capture) {
        let physical = capture.frames.iter().filter(|frame| !frame.inlined);
        let mut pcs: Vec<Leaf> = physical.map(|frame| Leaf::Number(frame.pc.0.into())).collect();
        let end = match &capture.stack_end {
            StackEnd::Complete => "the stack is complete",
            StackEnd::StackCut => "the stack is cut",
            StackEnd::Lost(why) => why,
        };
        pcs.resize((STACK_FRAMES as usize).max(pcs.len()), Leaf::Missing(end.to_owned()));
        for (index, pc) in pcs.into_iter().take(STACK_FRAMES as usize).enumerate() {
            self.put(format!("$stack[{index}]"), pc);
        }
    }

    fn put(&mut self, path: String, leaf: Leaf) {
        self.leaves.insert(path, leaf);
    }

    /// Notes where values are shown. `arrow` is set behind a pointer to something with members.
    fn index(&mut self, place: String, typed: &'a Typed, arrow: bool) {
        match &typed.value {
            Value::Record(fields) | Value::Union(fields) => {
                self.index_fields(&place, fields, arrow)
            }
            Value::Variant { name, fields } => {
                let inner = format!("{place}{}{name}", if arrow { "->" } else { "." });
                self.index_fields(&inner, fields, false);
            }
            Value::Array { items, .. } => {
                for (index, item) in items.iter().enumerate() {
                    self.index(format!("{place}[{index}]"), item, false);
                }
            }
            Value::Pointer { target, .. } => match &target.value {
                Value::Array { .. } if target.type_name.starts_with('[') => {
                    self.index(place.clone(), target, false);
                }
                Value::Array { .. } => self.index(format!("(*{place})"), target, false),
                Value::Record(_) | Value::Union(_) | Value::Variant { .. } => {
                    self.index(place.clone(), target, true);
                }
                _ => self.index(format!("*{place}"), target, false),
            },
            _ => {}
        }
        self.shown.entry(place).or_default().push(typed);
    }

    fn index_fields(&mut self, place: &str, fields: &'a [Field], arrow: bool) {
        for field in fields {
            match &field.name {
                Some(name) => {
                    let sign = if arrow { "->" } else { "." };
                    self.index(format!("{place}{sign}{name}"), &field.value, false);
                }
                None => self.index(place.to_owned(), &field.value, arrow),
            }
        }
    }

    fn value(&mut self, path: String, typed: &'a Typed, depth: u32) {
        match &typed.value {
            Value::Signed(number) => self.put(path, Leaf::Number(*number)),
            Value::Unsigned(number) => self.put(path, Leaf::Number(*number as i128)),
            Value::Bool(truth) => self.put(path, Leaf::Number((*truth).into())),
            Value::Char { code, .. } => self.put(path, Leaf::Number((*code).into())),
            Value::Enumerator { number, .. } => self.put(path, Leaf::Number(*number)),
            Value::Float32(number) => self.put(path, Leaf::Double(f64::from(*number).to_bits())),
            Value::Float64(number) => self.put(path, Leaf::Double(number.to_bits())),
            Value::FloatText(text) => self.put(path, Leaf::Decimal(text.clone())),
            Value::Record(fields) | Value::Union(fields) => self.fields(&path, fields, depth),
            Value::Variant { name, fields } => {
                self.put(format!("{path}.$variant"), Leaf::Text(name.clone().into_bytes()));
                self.fields(&format!("{path}.{name}"), fields, depth);
            }
            Value::Array { items, total, cut } => {
                self.array(&path, items, *total, cut.as_ref(), depth);
            }
            // The judge compares members: it asks for values as they are stored.
            Value::Map { .. } | Value::Noted { .. } => {
                self.put(path, Leaf::Missing("shown by its meaning".to_owned()));
            }
            Value::Pointer { address, target, provenance } => {
                if let Some(address) = address {
                    self.put(path.clone(), Leaf::Number((*address).into()));
                }
                if *provenance == Provenance::ReadAfterHit {
                    self.late.insert(format!("{path}.*"));
                }
                self.target(path, target, depth);
            }
            Value::Reference { address, shown_at } => {
                self.put(path.clone(), Leaf::Number((*address).into()));
                if self.is_late(*address, shown_at) {
                    self.late.insert(format!("{path}.*"));
                }
                match self.referenced(typed, *address, shown_at) {
                    Some(target) => self.target(path, target, depth),
                    None => {
                        let why = format!("shown at {shown_at}, which is not there");
                        self.put(format!("{path}.*"), Leaf::Missing(why));
                    }
                }
            }
            Value::Address(address) | Value::Function { address, .. } => {
                self.put(path, Leaf::Number((*address).into()));
            }
            Value::Text { address, bytes, provenance, .. } => {
                if *provenance == Provenance::ReadAfterHit {
                    self.late.insert(format!("{path}.$text"));
                }
                if let Some(address) = address {
                    self.put(path.clone(), Leaf::Number((*address).into()));
                    if depth >= DEPTH {
                        return;
                    }
                }
                let shown = bytes.get(..TEXT_BYTES as usize).unwrap_or(bytes);
                self.put(format!("{path}.$text"), Leaf::Text(shown.to_vec()));
            }
            Value::Nothing => {}
            Value::Unavailable(reason) => self.put(path, missing(reason)),
        }
    }

    fn target(&mut self, path: String, target: &'a Typed, depth: u32) {
        match &target.value {
            _ if depth >= DEPTH => {}
            Value::Unavailable(reason) if target.type_name == "char" => {
                self.put(format!("{path}.$text"), missing(reason));
            }
            _ => self.value(format!("{path}.*"), target, depth + 1),
        }
    }

    fn fields(&mut self, path: &str, fields: &'a [Field], depth: u32) {
        for field in fields {
            let inner = match &field.name {
                Some(name) => format!("{path}.{name}"),
                None => path.to_owned(),
            };
            self.value(inner, &field.value, depth);
        }
    }

    fn array(
        &mut self,
        path: &str,
        items: &'a [Typed],
        total: Option<u64>,
        cut: Option<&Reason>,
        depth: u32,
    ) {
        if let Some(total) = total {
            self.put(format!("{path}.$length"), Leaf::Number(total.into()));
        }
        for (index, item) in items.iter().take(ITEMS as usize).enumerate() {
            self.value(format!("{path}[{index}]"), item, depth);
        }
        let wanted = total.unwrap_or(0).min(ITEMS.into());
        if let Some(reason) = cut {
            for index in items.len() as u64..wanted {
                self.put(format!("{path}[{index}]"), missing(reason));
            }
        }
    }

    /// Whether the object at an address that is shown at a place was read after the hit.
    fn is_late(&self, address: u64, shown_at: &str) -> bool {
        let here = self.shown.get(shown_at).into_iter().flatten();
        here.map(|typed| &typed.value).any(|value| {
            matches!(value, Value::Pointer { address: at, provenance: Provenance::ReadAfterHit, .. }
                if *at == Some(address))
        })
    }

    /// The object that a reference is to.
    fn referenced(&self, reference: &Typed, address: u64, shown_at: &str) -> Option<&'a Typed> {
        // Several values can have one place: variables of one name, objects that begin together.
        let here = self.shown.get(shown_at)?;
        let pointers = here.iter().filter_map(|typed| match &typed.value {
            Value::Pointer { address: at, target, .. } if *at == Some(address) => {
                Some((typed, &**target))
            }
            _ => None,
        });
        let same = pointers.clone().find(|(typed, _)| typed.type_name == reference.type_name);
        let is_object = |typed: &&Typed| {
            !matches!(
                typed.value,
                Value::Pointer { .. } | Value::Reference { .. } | Value::Unavailable(_)
            )
        };
        let objects = || here.iter().copied().filter(is_object);
        let named = objects().find(|typed| is_named(&reference.type_name, &typed.type_name));
        // The type may have another name there, but then there is one object only.
        let mut others = objects();
        let only = others.next().filter(|_| others.next().is_none());
        let pointed = pointers.map(|(_, target)| target).find(is_object);
        same.map(|(_, target)| target).or(named).or(pointed).or(only)
    }
}

/// Whether a pointer's type has this target, as far as names tell.
fn is_named(pointer: &str, target: &str) -> bool {
    let bare = |name: &str| name.trim_start_matches("const ").to_owned();
    bare(pointer.trim_end_matches([' ', '*', '&'])) == bare(target)
}

/// A reason without what makes each one its own: addresses, and where else to look.
fn in_words(reason: &Reason) -> String {
    let parts = reason.detail.split("; ").filter(|part| !part.starts_with("it can be had at"));
    let words = parts.collect::<Vec<_>>().join("; ");
    let words = words.split(' ').filter(|word| !word.starts_with("0x"));
    [reason.code.code()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn missing(reason: &Reason) -> Leaf {
    Leaf::Missing(reason.code.code().to_owned())
}
