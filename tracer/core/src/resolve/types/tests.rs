//! Types of compiled programs, hand-made debug info and damaged files.

use super::*;
use crate::binary::dwarf::Unit;
use crate::model::types::{Encoding, Member, Scalar, VariantArm};
use crate::resolve::fixture::Fixture;

const C: &str = r#"
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <uchar.h>
enum color { RED, GREEN = 7, BLUE = 200 };
enum sign { MINUS = -1, PLUS = 1 };
struct node { struct node *next; const char *name; int value; };
typedef struct node node_t;
struct hidden;
union word { uint32_t whole; unsigned char bytes[4]; };
struct bits { unsigned a : 3; unsigned b : 7; int c : 5; unsigned long long d : 40; };
struct all {
    bool flag; char letter; signed char small; unsigned char byte; short s; unsigned long ul;
    __int128 wide; unsigned __int128 uwide; float f; double d; long double ld; _Complex double z;
    char16_t u16; char32_t u32; wchar_t wc;
    enum color color; enum sign sign;
    node_t *list; const struct node *clist; struct hidden *hidden; void *any; const void *cany;
    char *text; const char *const ctext; unsigned char *raw;
    int (*callback)(int, const char *); void (*handler)(void);
    int grid[3][4]; char *names[2]; int (*row)[4]; char label[16];
    union word word; struct bits bits;
    struct { int inner; };
    uint8_t octet; const int8_t delta;
    volatile int v; _Float128 quad; __fp16_placeholder
    size_t length; int tail[];
};
struct all *all;
struct all *probe(struct all *a) { return a; }
int main(void) { return probe(all) != 0; }
"#;

fn c_source() -> String {
    C.replace("__fp16_placeholder", "_Float16 half;")
}

/// The type of the first variable or parameter of this name in the whole file.
fn type_named(fixture: &Fixture, wanted: &str) -> (TypeGraph, TypeId) {
    let dwarf = fixture.dwarf();
    let mut builder = TypeBuilder::new(&dwarf, TypeGraph::default());
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().unwrap() {
        let unit = builder.dies().unit(&Unit::whole(&dwarf, dwarf.unit(header).unwrap())).unwrap();
        let mut entries = unit.unit.entries();
        while let Some(entry) = entries.next_dfs().unwrap() {
            let is_variable =
                matches!(entry.tag(), gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter);
            if is_variable && dies::name(&unit, entry).as_deref() == Some(wanted) {
                let die = Die { unit: Rc::clone(&unit), entry: entry.clone() };
                let id = builder.type_at(&die, Language::Other);
                return (builder.into_graph(), id);
            }
        }
    }
    panic!("no variable {wanted}");
}

/// A graph with a way to walk it by member names.
struct Walk {
    graph: TypeGraph,
    id: TypeId,
}

impl Walk {
    fn get(&self) -> &Type {
        self.graph.get(self.id)
    }

    fn members(&self) -> &[Member] {
        match &self.get().shape {
            Shape::Record(members) | Shape::Union(members) => members,
            other => panic!("no record: {other:?}"),
        }
    }

    fn member(&self, name: &str) -> &Member {
        let member = self.members().iter().find(|m| m.name.as_deref() == Some(name));
        member.unwrap_or_else(|| panic!("no member {name} in {:?}", self.members()))
    }

    fn of(&self, name: &str) -> &Type {
        self.graph.get(self.member(name).type_id)
    }

    fn behind(self) -> Self {
        let Shape::Pointer(id) = self.get().shape else { panic!("no pointer") };
        Self { id, graph: self.graph }
    }

    fn into(self, name: &str) -> Self {
        Self { id: self.member(name).type_id, graph: self.graph }
    }

    /// Checks name, size and shape of a member's type.
    fn check(&self, member: &str, name: &str, size: Option<u64>, shape: Shape) {
        let found = self.of(member);
        assert_eq!((found.name.as_str(), found.size, &found.shape), (name, size, &shape));
    }
}

fn walk(fixture: &Fixture, variable: &str) -> Walk {
    let (graph, id) = type_named(fixture, variable);
    check_ids(&graph);
    Walk { graph, id }
}

/// All ids in a graph are of this graph.
pub(crate) fn check_ids(graph: &TypeGraph) {
    let check = |id: TypeId| assert!((id.0 as usize) < graph.types.len());
    let check_all = |members: &[Member]| members.iter().for_each(|member| check(member.type_id));
    for content in &graph.types {
        match &content.shape {
            Shape::Record(members) | Shape::Union(members) => check_all(members),
            Shape::Variant { discriminant, variants, common } => {
                check_all(common);
                discriminant.iter().for_each(|member| check(member.type_id));
                variants.iter().for_each(|arm| check_all(&arm.members));
            }
            Shape::Array { element, .. } | Shape::Slice { element, .. } => check(*element),
            Shape::Pointer(target) => check(*target),
            Shape::Opaque(reason) => assert_ne!(reason, "not read yet"),
            _ => {}
        }
    }
}

fn scalar(encoding: Encoding, size: u8) -> Shape {
    Shape::Scalar(Scalar { encoding, size })
}

fn opaque(reason: &str) -> Shape {
    Shape::Opaque(reason.to_owned())
}

/// The same program by DWARF 4 and 5, unoptimised and optimised.
fn each_c() -> impl Iterator<Item = Fixture> {
    [["-gdwarf-4", "-O0"], ["-gdwarf-5", "-O2"], ["-gdwarf-4", "-fdebug-types-section"]]
        .into_iter()
        .map(|arguments| Fixture::compile("gcc", &arguments, &c_source()))
}

#[test]
fn base_types_of_c_are_scalars() {
    for fixture in each_c() {
        let all = walk(&fixture, "a").behind();
        all.check("flag", "_Bool", Some(1), scalar(Encoding::Bool, 1));
        all.check("letter", "char", Some(1), scalar(Encoding::SignedChar, 1));
        all.check("small", "signed char", Some(1), scalar(Encoding::SignedChar, 1));
        all.check("byte", "unsigned char", Some(1), scalar(Encoding::UnsignedChar, 1));
        // A name that does not speak of characters.
        all.check("octet", "uint8_t", Some(1), scalar(Encoding::Unsigned, 1));
        all.check("delta", "const int8_t", Some(1), scalar(Encoding::Signed, 1));
        all.check("s", "short int", Some(2), scalar(Encoding::Signed, 2));
        all.check("ul", "long unsigned int", Some(8), scalar(Encoding::Unsigned, 8));
        all.check("wide", "__int128", Some(16), scalar(Encoding::Signed, 16));
        all.check("uwide", "__int128 unsigned", Some(16), scalar(Encoding::Unsigned, 16));
        all.check("f", "float", Some(4), scalar(Encoding::Float, 4));
        all.check("d", "double", Some(8), scalar(Encoding::Float, 8));
        all.check("ld", "long double", Some(16), scalar(Encoding::Float, 16));
        all.check("u32", "char32_t", Some(4), scalar(Encoding::Unsigned, 4));
        all.check("v", "volatile int", Some(4), scalar(Encoding::Signed, 4));
        all.check("length", "size_t", Some(8), scalar(Encoding::Unsigned, 8));
        // Not readable as a number, and said so.
        all.check("z", "complex double", Some(16), opaque("DW_ATE_complex_float of 16 bytes"));
        all.check("quad", "_Float128", Some(16), opaque("DW_ATE_float of 16 bytes"));
        all.check("half", "_Float16", Some(2), opaque("DW_ATE_float of 2 bytes"));
    }
}

#[test]
fn enumerations_have_their_values_as_stored() {
    for fixture in each_c() {
        let all = walk(&fixture, "a").behind();
        let names = |pairs: &[(i128, &str)]| {
            pairs.iter().map(|(value, name)| (*value, (*name).to_owned())).collect()
        };
        all.check(
            "color",
            "enum color",
            Some(4),
            Shape::Enumeration {
                scalar: Scalar { encoding: Encoding::Unsigned, size: 4 },
                names: names(&[(0, "RED"), (7, "GREEN"), (200, "BLUE")]),
            },
        );
        all.check(
            "sign",
            "enum sign",
            Some(4),
            Shape::Enumeration {
                scalar: Scalar { encoding: Encoding::Signed, size: 4 },
                names: names(&[(-1, "MINUS"), (1, "PLUS")]),
            },
        );
    }
}

#[test]
fn pointers_and_their_names() {
    for fixture in each_c() {
        let all = walk(&fixture, "a").behind();
        let target = |member: &str| match all.of(member).shape {
            Shape::Pointer(id) => all.graph.get(id),
            ref other => panic!("{member}: {other:?}"),
        };
        for (member, name) in [
            ("list", "node_t *"),
            ("clist", "const struct node *"),
            ("hidden", "struct hidden *"),
            ("any", "void *"),
            ("cany", "const void *"),
            ("raw", "unsigned char *"),
            ("callback", "int (*)(int, const char *)"),
            ("handler", "void (*)(void)"),
            ("row", "int (*)[4]"),
        ] {
            assert_eq!((all.of(member).name.as_str(), all.of(member).size), (name, Some(8)));
            target(member);
        }
        assert_eq!(target("list").name, "node_t");
        assert_eq!(target("clist").name, "const struct node");
        assert_eq!(target("any").shape, Shape::Nothing);
        assert_eq!(target("cany").shape, Shape::Nothing);
        assert_eq!(target("callback").shape, Shape::Function);
        assert_eq!(target("hidden").shape, opaque(Shape::INCOMPLETE));
        assert_eq!(target("hidden").size, None);
        all.check("text", "char *", Some(8), Shape::TextPointer);
        all.check("ctext", "const char *const", Some(8), Shape::TextPointer);
        // A cycle ends at the type that it started from.
        let node = all.into("list").behind();
        assert_eq!(node.get().size, Some(24));
        assert_eq!(node.member("value").offset, 16);
        node.check("name", "const char *", Some(8), Shape::TextPointer);
        let next = node.into("next").behind();
        assert_eq!(next.get().name, "struct node");
        let id = next.id;
        assert_eq!(next.into("next").behind().id, id);
    }
}

#[test]
fn arrays_of_arrays() {
    for fixture in each_c() {
        let all = walk(&fixture, "a").behind();
        let array = |id: TypeId| match all.graph.get(id).shape {
            Shape::Array { element, count } => (all.graph.get(id).clone(), element, count),
            ref other => panic!("{other:?}"),
        };
        let (grid, rows, count) = array(all.member("grid").type_id);
        assert_eq!((grid.name.as_str(), grid.size, count), ("int [3][4]", Some(48), Some(3)));
        let (row, ints, count) = array(rows);
        assert_eq!((row.name.as_str(), row.size, count), ("int [4]", Some(16), Some(4)));
        assert_eq!(all.graph.get(ints).shape, scalar(Encoding::Signed, 4));
        let (names, text, count) = array(all.member("names").type_id);
        assert_eq!((names.name.as_str(), count), ("char *[2]", Some(2)));
        assert_eq!(all.graph.get(text).shape, Shape::TextPointer);
        let (label, letter, count) = array(all.member("label").type_id);
        assert_eq!((label.name.as_str(), count), ("char [16]", Some(16)));
        assert_eq!(all.graph.get(letter).shape, scalar(Encoding::SignedChar, 1));
        let (tail, _, count) = array(all.member("tail").type_id);
        assert_eq!((tail.name.as_str(), tail.size, count), ("int []", None, None));
    }
}

#[test]
fn bit_fields_unions_and_anonymous_members() {
    for fixture in each_c() {
        let all = walk(&fixture, "a").behind();
        let anonymous = all.members().iter().find(|member| member.name.is_none()).unwrap();
        assert_eq!(all.graph.get(anonymous.type_id).name, "struct {...}");
        let Shape::Union(members) = &all.of("word").shape else { panic!("no union") };
        assert_eq!(all.of("word").name, "union word");
        let offsets: Vec<_> = members.iter().map(|m| (m.name.as_deref(), m.offset)).collect();
        assert_eq!(offsets, [(Some("whole"), 0), (Some("bytes"), 0)]);
        let bits = all.into("bits");
        let places: Vec<_> = bits.members().iter().map(|m| (m.offset, m.bits)).collect();
        assert_eq!(
            places,
            [
                (0, Some((0, 3))),
                (0, Some((3, 7))),
                (1, Some((2, 5))),
                // Does not fit behind the others in their eight bytes.
                (1, Some((7, 40))),
            ]
        );
    }
}

const CPP: &str = r#"
#include <cstddef>
enum class Level : unsigned char { Low = 1, High = 255 };
enum class Deep : signed char { Down = -128, Up = 127 };
struct Base { int base; static int shared; virtual ~Base() {} };
struct Side { long side; };
struct Left : virtual Side { int left; };
struct Derived : Base, Side {
    struct Inner;
    Inner *inner; Level level; Deep deep; int &reference; int &&moved; char8_t *utf8;
    int Side::*member; std::nullptr_t null; const char16_t *wide; char32_t code; Left left;
    Derived(int &r) : reference(r), moved(static_cast<int &&>(r)), left() {}
};
struct Derived::Inner { int hidden_in_class; };
int Base::shared = 3;
template <typename T> struct Box { T value; };
int use(Derived *self, Box<Box<int>> box) {
    Derived::Inner i{4};
    self->inner = &i;
    return box.value.value;
}
int main() { int x = 1; Derived d(x); Box<Box<int>> b{{1}}; return use(&d, b); }
"#;

#[test]
fn classes_of_cpp() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let fixture = Fixture::compile("g++", &[version, "-std=c++20"], CPP);
        let pointer = walk(&fixture, "self");
        assert_eq!(pointer.get().name, "Derived *");
        let derived = pointer.behind();
        let bases: Vec<_> = derived
            .members()
            .iter()
            .filter(|member| member.name.is_none())
            .map(|member| (derived.graph.get(member.type_id).name.as_str(), member.offset))
            .collect();
        assert_eq!(bases, [("Base", 0), ("Side", 16)]);
        let Shape::Enumeration { scalar: level, names } = &derived.of("level").shape else {
            panic!("no enumeration")
        };
        assert_eq!(*level, Scalar { encoding: Encoding::Unsigned, size: 1 });
        assert_eq!(names.last(), Some(&(255, "High".to_owned())));
        let Shape::Enumeration { scalar: deep, names } = &derived.of("deep").shape else {
            panic!("no enumeration")
        };
        assert_eq!(*deep, Scalar { encoding: Encoding::Signed, size: 1 });
        assert_eq!(names.first(), Some(&(-128, "Down".to_owned())));
        assert_eq!(derived.of("reference").name, "int &");
        assert!(matches!(derived.of("reference").shape, Shape::Pointer(_)));
        assert_eq!(derived.of("moved").name, "int &&");
        derived.check("utf8", "char8_t *", Some(8), Shape::TextPointer);
        assert!(matches!(derived.of("wide").shape, Shape::Pointer(_)));
        derived.check("code", "char32_t", Some(4), scalar(Encoding::Utf, 4));
        assert_eq!(derived.of("member").name, "int Side::*");
        assert_eq!(derived.of("member").shape, opaque("DW_TAG_ptr_to_member_type"));
        assert_eq!(derived.of("null").shape, Shape::Nothing);
        let Shape::Record(left) = &derived.of("left").shape else { panic!("no record") };
        let virtual_base = left.iter().find(|member| member.name.is_none()).unwrap();
        let virtual_base = derived.graph.get(virtual_base.type_id);
        assert_eq!(virtual_base.name, "Side");
        assert!(matches!(&virtual_base.shape, Shape::Opaque(reason) if reason.contains("virtual")));
        // Declared in the class, defined outside of it.
        let inner = derived.into("inner").behind();
        assert_eq!((inner.get().name.as_str(), inner.get().size), ("Inner", Some(4)));
        inner.check("hidden_in_class", "int", Some(4), scalar(Encoding::Signed, 4));
        let boxed = walk(&fixture, "box");
        assert_eq!(boxed.get().name, "Box<Box<int> >");
    }
}

#[test]
fn static_members_are_not_part_of_a_value() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let fixture = Fixture::compile("g++", &[version, "-std=c++20"], CPP);
        let derived = walk(&fixture, "self").behind();
        let base = derived.members().iter().find(|member| member.name.is_none()).unwrap().type_id;
        let base = Walk { id: base, graph: derived.graph };
        let names: Vec<_> = base.members().iter().map(|m| m.name.clone().unwrap()).collect();
        assert_eq!(names, ["_vptr.Base", "base"]);
    }
}

const RUST: &str = r#"
use std::hint::black_box;
pub enum Niche<'a> { S(&'a str), N(u64), Z }
#[repr(i8)] #[derive(Clone, Copy)] pub enum Signed { A(u8) = -3, B(u32) = 5 }
#[derive(Clone, Copy)] pub enum Plain { Red, Green = 7, Blue }
pub enum One { Only(u32) }
pub struct Wrapper<T: ?Sized> { header: u32, tail: T }
pub struct All<'a> {
    name: &'a str, items: &'a [u16], boxed: Box<[u8]>, text: Box<str>, raw: *const [u32],
    wrapped: &'a Wrapper<[u8]>, letter: char, wide: u128, pair: (u8, i64), unit: (),
    grid: [[u16; 3]; 2], plain: Plain, maybe: Option<&'a u32>, tri: Option<bool>,
    big: Option<u128>, byte: *const i8, call: fn(i32) -> i32, shared: std::rc::Rc<str>,
}
#[inline(never)]
pub fn look(all: &All, niche: &Niche, signed: Signed, one: One) -> usize {
    black_box((all, niche, &signed, &one));
    all.items.len()
}
fn same(x: i32) -> i32 { x }
fn main() {
    let x = 5u32;
    let w: &Wrapper<[u8]> = &Wrapper { header: 1, tail: [1, 2] };
    let all = All {
        name: "hi", items: &[1], boxed: Box::new([1]), text: "t".into(), raw: &[1u32], wrapped: w,
        letter: 'c', wide: 1, pair: (1, 2), unit: (), grid: [[1; 3]; 2], plain: Plain::Blue,
        maybe: Some(&x), tri: None, big: Some(1), byte: std::ptr::null(), call: same,
        shared: "s".into(),
    };
    black_box((Niche::N(1), Niche::Z, Signed::B(2), Plain::Red, Plain::Green, w.header));
    black_box(w.tail.len() + look(&all, &Niche::S("x"), Signed::A(1), One::Only(1)));
}
"#;

fn arms(shape: &Shape) -> (&Member, &[VariantArm]) {
    match shape {
        Shape::Variant { discriminant: Some(discriminant), variants, .. } => {
            (discriminant, variants)
        }
        other => panic!("no variant with a discriminant: {other:?}"),
    }
}

fn rust_fixture() -> Fixture {
    Fixture::compile("rustc", &["-g", "--edition=2021", "-Awarnings"], RUST)
}

#[test]
fn slices_and_texts_of_rust() {
    let fixture = rust_fixture();
    let all = walk(&fixture, "all").behind();
    assert_eq!(all.get().name, "All");
    for (member, name, text, element) in [
        ("name", "&str", true, scalar(Encoding::Unsigned, 1)),
        ("items", "&[u16]", false, scalar(Encoding::Unsigned, 2)),
        (
            "boxed",
            "alloc::boxed::Box<[u8], alloc::alloc::Global>",
            false,
            scalar(Encoding::Unsigned, 1),
        ),
        (
            "text",
            "alloc::boxed::Box<str, alloc::alloc::Global>",
            true,
            scalar(Encoding::Unsigned, 1),
        ),
        ("raw", "*const [u32]", false, scalar(Encoding::Unsigned, 4)),
    ] {
        let found = all.of(member);
        assert_eq!((found.name.as_str(), found.size), (name, Some(16)));
        let Shape::Slice { element: id, pointer_offset, length_offset, text: is_text } =
            found.shape
        else {
            panic!("{member}: {:?}", found.shape)
        };
        assert_eq!((pointer_offset, length_offset, is_text), (0, 8, text), "{member}");
        assert_eq!(all.graph.get(id).shape, element, "{member}");
    }
    // Its length does not count what the pointer points to.
    assert!(matches!(all.of("wrapped").shape, Shape::Record(_)), "{:?}", all.of("wrapped"));
    // In Rust a pointer to a byte is no text.
    assert_eq!(all.of("byte").name, "*const i8");
    assert!(matches!(all.of("byte").shape, Shape::Pointer(_)));
}

#[test]
fn plain_types_of_rust() {
    let fixture = rust_fixture();
    let all = walk(&fixture, "all").behind();
    all.check("letter", "char", Some(4), scalar(Encoding::Utf, 4));
    all.check("wide", "u128", Some(16), scalar(Encoding::Unsigned, 16));
    all.check("unit", "()", Some(0), Shape::Nothing);
    assert_eq!(all.of("pair").name, "(u8, i64)");
    assert_eq!((all.of("grid").name.as_str(), all.of("grid").size), ("[[u16; 3]; 2]", Some(12)));
    let Shape::Pointer(call) = all.of("call").shape else { panic!("no pointer") };
    assert_eq!(all.of("call").name, "fn(i32) -> i32");
    assert_eq!(all.graph.get(call).shape, Shape::Function);
    let Shape::Enumeration { names, .. } = &all.of("plain").shape else { panic!("no enum") };
    let expected = [(0, "Red"), (7, "Green"), (8, "Blue")];
    assert!(names.iter().zip(expected).all(|((v, n), e)| (*v, n.as_str()) == e));
}

#[test]
fn variants_of_rust_are_told_by_discriminant_or_niche() {
    let fixture = rust_fixture();
    let name =
        |arm: &VariantArm| arm.members.first().and_then(|member| member.name.clone()).unwrap();
    let all = walk(&fixture, "all").behind();

    // The null pointer is the niche of `None`.
    let (discriminant, variants) = arms(&all.of("maybe").shape);
    assert_eq!(discriminant.offset, 0);
    assert_eq!(all.graph.get(discriminant.type_id).size, Some(8));
    let told: Vec<_> = variants.iter().map(|arm| (name(arm), arm.discriminants.clone())).collect();
    assert_eq!(told, [("None".to_owned(), vec![(0, 0)]), ("Some".to_owned(), vec![])]);

    // 2 is no bool.
    let (_, variants) = arms(&all.of("tri").shape);
    assert_eq!(variants[0].discriminants, [(2, 2)]);

    // 128 bits have no niche: a number of their own.
    let (_, variants) = arms(&all.of("big").shape);
    let told: Vec<_> = variants.iter().map(|arm| arm.discriminants.clone()).collect();
    assert_eq!(told, [vec![(0, 0)], vec![(1, 1)]]);

    let niche = walk(&fixture, "niche").behind();
    let (_, variants) = arms(&niche.get().shape);
    let names: Vec<_> = variants.iter().map(name).collect();
    assert_eq!(names, ["S", "N", "Z"]);

    // -3 as the byte that is stored.
    let signed = walk(&fixture, "signed");
    let (_, variants) = arms(&signed.get().shape);
    let told: Vec<_> = variants.iter().map(|arm| arm.discriminants.clone()).collect();
    assert_eq!(told, [vec![(0xfd, 0xfd)], vec![(5, 5)]]);

    let one = walk(&fixture, "one");
    let Shape::Variant { discriminant: None, variants, .. } = &one.get().shape else {
        panic!("{:?}", one.get().shape)
    };
    assert_eq!(variants.len(), 1);
}

#[test]
fn a_graph_goes_on_from_another_files() {
    let first = Fixture::compile("gcc", &["-g"], "int a; int main(void) { return a; }");
    let (graph, first_id) = type_named(&first, "a");
    let known = graph.types.len();
    let second = Fixture::compile("gcc", &["-g"], "long b; int main(void) { return (int)b; }");
    let dwarf = second.dwarf();
    let mut builder = TypeBuilder::new(&dwarf, graph);
    let header = dwarf.units().next().unwrap().unwrap();
    let unit = builder.dies().unit(&Unit::whole(&dwarf, dwarf.unit(header).unwrap())).unwrap();
    let mut entries = unit.unit.entries();
    let die = loop {
        let entry = entries.next_dfs().unwrap().unwrap();
        if entry.tag() == gimli::DW_TAG_variable {
            break Die { unit: Rc::clone(&unit), entry: entry.clone() };
        }
    };
    let second_id = builder.type_at(&die, Language::Other);
    let graph = builder.into_graph();
    assert!(second_id.0 as usize >= known);
    assert_eq!(graph.get(first_id).name, "int");
    assert_eq!(graph.get(second_id).name, "long int");
}
