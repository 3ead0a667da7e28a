//! What a compiler describes in its rarer ways: exactly what the source says, or missing with the
//! reason.

use std::collections::BTreeMap;
use tracer_core::model::capture::Variable;
use tracer_core::model::limits::Limits;
use tracer_core::model::reason::ReasonCode;
use tracer_core::model::resolved::VariableKind;
use tracer_tests::flat::{Leaf, compare, flatten};
use tracer_tests::privilege::require;
use tracer_tests::snapshot::{request, take};
use tracer_tests::targets::Target;

/// A marked line, and the values of its frames there.
const PLACES: [(&str, &str); 6] = [
    (
        "behind",
        "place = pointer\nplace->x = 11\nplace->y = 30\nnumber = pointer\n*number = 4\n\
         first = 10\nsecond = 4\npoint.x = 11\npoint.y = 30\nown = 4",
    ),
    (
        "computed",
        "left = 33\nright = -5\nleast = -5\nmost = 33\nquotient = 4\nrest = 3\nmagnitude = 5",
    ),
    (
        "threads", // The third time that the target works.
        "add = 1\ninner = 10\nonce = 11",
    ),
    ("floats", "memory = pointer\n*memory = 1.25\nonly = 3.5\nlocal = 8.75\nkept = 1.25"),
    ("bits", "value = 305419896\nbits.low = 0\nbits.middle = 79\nbits.high = 298261"),
    ("wide", "value = 5902958103587056517120\nmore = 5902958103587056517121"),
];

/// The leaves of all frames at each marked line.
fn leaves(compiler: &str, flags: &[&str]) -> BTreeMap<&'static str, BTreeMap<String, Leaf>> {
    require().unwrap();
    let target = Target::c("locations", compiler, flags).unwrap();
    let mut running = target.start(&[]).unwrap();
    let mut found = BTreeMap::new();
    for (mark, expected) in PLACES {
        let line = target.line(&format!("/* {mark} */")).unwrap();
        let request = request(running.pid(), &format!("locations.c:{line}")).unwrap();
        let snapshot = take(&request, &mut running).unwrap();
        assert_eq!(snapshot.captures.len(), 1, "{mark}: {:?}", snapshot.summary);
        let frames = &snapshot.captures[0].frames;
        // Of several copies of a variable, all are right.
        let of_mark = frames.iter().take(2).flat_map(|frame| flatten(&frame.variables)).filter(
            |(path, _)| expected.lines().any(|line| path == line.split_once(" = ").unwrap().0),
        );
        let of_mark: BTreeMap<String, Leaf> = of_mark.collect();
        for (path, leaf) in &of_mark {
            println!("{compiler} {flags:?} {mark}: {path}: {leaf:?}");
        }
        let comparison = compare(&of_mark, expected);
        assert!(comparison.wrong.is_empty(), "{compiler} {mark}: {:?}", comparison.wrong);
        found.insert(mark, of_mark);
    }
    running.finish().unwrap();
    found
}

#[test]
fn gcc_shows_them() {
    let leaves = leaves("gcc", &["-O2"]);
    let is = |mark: &str, path: &str, text: &str| {
        assert_eq!(leaves[mark].get(path), Some(&Leaf::Is(text.to_owned())), "{mark}: {path}");
    };
    is("behind", "place->x", "11");
    is("behind", "*number", "4");
    is("computed", "least", "-5");
    is("computed", "most", "33");
    is("computed", "quotient", "4");
    is("computed", "rest", "3");
    is("computed", "magnitude", "5");
    is("threads", "inner", "10");
    is("threads", "once", "11");
    is("bits", "bits.low", "0");
    is("bits", "bits.middle", "79");
    is("bits", "bits.high", "298261");
    is("wide", "more", "5902958103587056517121");
    // In memory a number is exact; one in a vector register is not shown.
    is("floats", "*memory", "1.25");
    let vector = Some(&Leaf::Missing(ReasonCode::VectorRegister));
    assert_eq!(leaves["floats"].get("only"), vector);
}

#[test]
fn clang_shows_them() {
    let leaves = leaves("clang", &["-O2"]);
    let is = |mark: &str, path: &str, text: &str| {
        assert_eq!(leaves[mark].get(path), Some(&Leaf::Is(text.to_owned())), "{mark}: {path}");
    };
    is("computed", "quotient", "4");
    is("computed", "rest", "3");
    is("threads", "inner", "10");
    is("floats", "*memory", "1.25");
}

#[test]
fn variables_of_the_unit_are_shown_on_request() {
    require().unwrap();
    let target = Target::c("locations", "gcc", &["-O2"]).unwrap();
    let mut running = target.start(&[]).unwrap();
    let mut shown = |globals_max| {
        let mut request = request(running.pid(), "threads").unwrap();
        request.limits = Limits { globals_max, ..Limits::DEFAULT };
        let snapshot = take(&request, &mut running).unwrap();
        let variables = &snapshot.captures[0].frames[0].variables;
        let global = |variable: &&Variable| variable.kind == VariableKind::Global;
        let globals: Vec<Variable> = variables.iter().filter(global).cloned().collect();
        (globals.len(), flatten(&globals))
    };
    assert_eq!(shown(0).0, 0);
    assert_eq!(shown(1).0, 1);
    let (_, leaves) = shown(100);
    // The third time that the target works.
    assert_eq!(leaves.get("per_thread"), Some(&Leaf::Is("7".to_owned())), "{leaves:?}");
    // Behind `implicit` and `computed`.
    assert_eq!(leaves.get("count"), Some(&Leaf::Is("2".to_owned())), "{leaves:?}");
    assert!(leaves.contains_key("sink") && !leaves.contains_key("once"), "{leaves:?}");
    running.finish().unwrap();
}
