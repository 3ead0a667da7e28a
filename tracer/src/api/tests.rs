//! The JSON lines against their schema, and the encoding of each value.

use super::samples::{self, armed, counted, every_value, typed, variable};
use super::stream::{Lines, StreamLine};
use super::value::LEVELS_MAX;
use super::{SNAPSHOT_SCHEMA, VARS_SCHEMA, convert, json, types, vars};
use crate::escape::tests::hostile_payloads;
use serde_json::{Value as Json, json};
use tracer_core::engine::event::Ended;
use tracer_core::model::address::Avma;
use tracer_core::model::capture::{Provenance, StackEnd, Variable};
use tracer_core::model::reason::ReasonCode;
use tracer_core::model::resolved::{Elsewhere, OtherPc, SourceLine, VariableKind};
use tracer_core::model::value::Value;

fn read_back<T: serde::Serialize>(line: &T) -> Json {
    serde_json::from_slice(&json::line(line).unwrap()).unwrap()
}

fn assert_valid(line: &Json) {
    assert_valid_by(SNAPSHOT_SCHEMA, line);
}

fn assert_valid_by(schema: &str, line: &Json) {
    let schema: Json = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(line).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{line:#}");
}

fn is_valid(line: &Json) -> bool {
    let schema: Json = serde_json::from_str(SNAPSHOT_SCHEMA).unwrap();
    jsonschema::validator_for(&schema).unwrap().is_valid(line)
}

fn line_with(variables: Vec<Variable>) -> Json {
    let capture = samples::capture(variables);
    read_back(&convert::capture("p1", 1, &armed(), &capture, &counted()))
}

fn line_of(value: Value) -> Json {
    line_with(vec![variable("v", VariableKind::Local, typed("T", value))])
}

fn variable_of(value: Value) -> Json {
    line_of(value)["frames"][0]["variables"][0].clone()
}

#[test]
fn the_schemas_are_valid_schemas() {
    for schema in [SNAPSHOT_SCHEMA, VARS_SCHEMA] {
        let schema: Json = serde_json::from_str(schema).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
    }
}

#[test]
fn a_capture_with_every_value_keeps_the_schema() {
    for (name, type_name, value) in every_value() {
        let line =
            line_with(vec![variable(name, VariableKind::Parameter, typed(type_name, value))]);
        assert_valid(&line);
    }
}

#[test]
fn ends_of_stacks_and_unknown_sites_keep_the_schema() {
    for end in [StackEnd::Complete, StackEnd::StackCut, StackEnd::Lost("no rule".to_owned())] {
        let mut capture = samples::capture(Vec::new());
        capture.stack_end = end;
        capture.site = usize::MAX;
        capture.comm = b"\xff".to_vec();
        let line = read_back(&convert::capture("p1", 1, &armed(), &capture, &counted()));
        assert_valid(&line);
        assert_eq!(line["site"]["pc"], Json::Null);
        assert_eq!(line["target"]["comm"], json!({"bytes": "ff"}));
    }
}

#[test]
fn summaries_keep_the_schema() {
    for ended in [Ended::Complete, Ended::Timeout, Ended::Stopped, Ended::ProcessGone] {
        let line = read_back(&convert::summary("p1", 3, &samples::summary(ended)));
        assert_valid(&line);
        assert_eq!(line["summary"]["outcomes"]["captured"], 3);
        assert_eq!(line["summary"]["outcomes"]["lost_ring_full"], 0, "zeros are told too");
    }
}

#[test]
fn the_schema_refuses_what_we_do_not_write() {
    let good = line_of(Value::Signed(1));
    assert!(is_valid(&good));
    let mut both = good.clone();
    both["frames"][0]["variables"][0]["unavailable"] = json!({"code": "unmapped", "text": ""});
    assert!(!is_valid(&both), "value and unavailable");
    let mut neither = good.clone();
    neither["frames"][0]["variables"][0].as_object_mut().unwrap().remove("value");
    assert!(!is_valid(&neither), "neither value nor unavailable");
    let mut address = good.clone();
    address["site"]["pc"] = json!(4096);
    assert!(!is_valid(&address), "an address as a number");
    let mut inexact = good.clone();
    inexact["frames"][0]["variables"][0]["value"] = json!("text");
    assert!(!is_valid(&inexact), "a bare string that is no number");
    let mut more = good;
    more["more"] = json!(1);
    assert!(!is_valid(&more), "an unknown member");
}

#[test]
fn the_facts_of_a_hit_are_where_they_belong() {
    let line = line_of(Value::Signed(1));
    assert_eq!(line["schema"], "tracer/snapshot/1");
    assert_eq!(line["time_unix_ns"], "1769862896789012345");
    assert_eq!(
        line["target"],
        json!({"pid": 4242, "tid": 4245, "cpu": 3, "comm": "worker", "exe": "/usr/bin/billing",
               "start_time": "4000000000"})
    );
    assert_eq!(line["site"]["requested"], "billing.c:42");
    assert_eq!(line["site"]["requested_pc"], "0x558100001230");
    assert_eq!(line["site"]["pc"], "0x558100001234");
    assert_eq!(line["site"]["build_id"], "00ff12");
    assert_eq!(line["frames"][0]["inlined"], true);
    assert_eq!(line["frames"][3]["how"], "frame_pointer");
    assert_eq!(line["frames"][3]["how_detail"], "no unwind information");
    assert_eq!(line["stack_end"]["code"], "stack_cut");
    assert_eq!(line["limits_met"], json!(["limit_bytes", "limit_depth"]));
    assert_eq!(line["outcomes"]["rate_limit"], 2);
}

#[test]
fn numbers_stay_numbers_only_where_a_double_is_exact() {
    let value = |value| variable_of(value)["value"].clone();
    assert_eq!(value(Value::Signed(-7)), json!(-7));
    assert_eq!(value(Value::Unsigned(1 << 53)), json!(9_007_199_254_740_992_u64));
    assert_eq!(value(Value::Unsigned((1 << 53) + 1)), json!("9007199254740993"));
    assert_eq!(value(Value::Signed(-(1 << 53) - 1)), json!("-9007199254740993"));
    assert_eq!(value(Value::Unsigned(u128::MAX)), json!(u128::MAX.to_string()));
    assert_eq!(value(Value::Float64(f64::NAN)), json!("NaN"));
    assert_eq!(value(Value::Float32(f32::INFINITY)), json!("Infinity"));
    assert_eq!(value(Value::Float64(f64::NEG_INFINITY)), json!("-Infinity"));
    assert_eq!(value(Value::Float32(0.1)).to_string(), "0.1");
    assert_eq!(value(Value::Float32(14_811_681.0 / 4.0)).to_string(), "3702920.3");
    assert_eq!(value(Value::Float32(f32::MAX)).to_string(), "3.4028235e+38");
}

#[test]
fn each_form_of_value_names_itself() {
    let value = |value| variable_of(value)["value"].clone();
    assert_eq!(value(Value::Nothing), Json::Null);
    assert_eq!(value(Value::Address(0)), json!({"address": "0x0"}));
    assert_eq!(value(samples::text(b"hi")), json!({"text": "hi"}));
    assert_eq!(value(samples::text(b"\xffA")), json!({"bytes": "ff41"}));
    assert_eq!(
        value(Value::Enumerator { name: None, number: 7 }),
        json!({"name": null, "number": 7})
    );
    assert_eq!(
        value(samples::pointer(16, "int", Value::Signed(5))),
        json!({"address": "0x10", "target": {"type": "int", "value": 5}})
    );
    assert_eq!(
        value(Value::Record(vec![samples::field("x", "int", Value::Signed(1))])),
        json!({"fields": [{"name": "x", "type": "int", "value": 1}]})
    );
    let late = samples::late_pointer(16, "int", Value::Signed(0), Provenance::Untouched);
    let target = json!({"type": "int", "value": 0, "provenance": "untouched"});
    assert_eq!(value(late), json!({"address": "0x10", "target": target}));
    let array = value(samples::numbers(0..2, 9));
    assert_eq!(array["element_type"], "int");
    assert_eq!(array["items"], json!([0, 1]));
    assert_eq!(array["total"], 9);
    assert_eq!(array["cut"]["remedy"], "raise --max-items");
}

#[test]
fn what_is_missing_says_why_and_marks_the_variable() {
    let gone = variable_of(Value::Unavailable(ReasonCode::OptimizedOut.into()));
    assert_eq!(gone["unavailable"]["code"], "optimized_out");
    assert_eq!(gone["provenance"], "none");
    assert_eq!(gone["truncated"], false);
    let cut = Value::Unavailable(ReasonCode::LimitDepth.into());
    let deep = variable_of(Value::Record(vec![samples::field(
        "next",
        "struct node *",
        samples::pointer(8, "struct node", cut),
    )]));
    assert_eq!(deep["truncated"], true, "also when the cut is deeper");
    assert_eq!(variable_of(samples::numbers(0..2, 2))["truncated"], false);
    assert_eq!(variable_of(samples::numbers(0..2, 3))["truncated"], true);
}

#[test]
fn a_value_nested_beyond_reason_is_cut_not_fatal() {
    let mut value = Value::Signed(1);
    for level in 0..2000 {
        value = samples::pointer(level + 1, "void **", value);
    }
    let capture = samples::capture(vec![variable("v", VariableKind::Local, typed("T", value))]);
    let line = convert::capture("p1", 1, &armed(), &capture, &counted());
    let text = String::from_utf8(json::line(&line).unwrap()).unwrap();
    assert!(text.contains("nested too deeply to write"));
}

/// `line` is read and written again: the bytes are the same.
fn assert_reads_back<T: serde::Serialize + serde::de::DeserializeOwned>(line: &T) {
    let bytes = json::line(line).unwrap();
    assert_same(&bytes, &json::read::<T>(&bytes).unwrap());
}

fn assert_stream_reads_back(line: &StreamLine) {
    let bytes = json::line(line).unwrap();
    let read = StreamLine::read(&bytes).unwrap();
    assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(line));
    assert_same(&bytes, &read);
}

fn assert_same<T: serde::Serialize>(written: &[u8], read: &T) {
    let again = json::line(read).unwrap();
    assert_eq!(again.escape_ascii().to_string(), written.escape_ascii().to_string());
}

#[test]
fn every_line_of_a_stream_is_read_as_it_was_written() {
    let request = samples::request("billing.c:42");
    let mut lines = Lines::new("p1".to_owned(), &request);
    for event in samples::events() {
        let line = lines.line(event).unwrap();
        assert_valid(&read_back(&line));
        assert_stream_reads_back(&line);
    }
    let error = types::Error {
        code: "no_hit".into(),
        exit_code: 28,
        subject: "f".to_owned(),
        text: "no hit".to_owned(),
        detail: String::new(),
        remedy: "wait".to_owned(),
        candidates: vec!["g".to_owned()],
    };
    let error = types::ErrorLine { schema: types::ERROR.into(), error };
    assert_valid(&read_back(&error));
    assert_stream_reads_back(&StreamLine::Error(Box::new(error)));
}

#[test]
fn every_value_is_read_as_it_was_written() {
    for payload in std::iter::once(b"x".to_vec()).chain(hostile_payloads(100)) {
        let text = String::from_utf8_lossy(&payload).into_owned();
        let mut values = every_value();
        values.push(("hostile", "T", samples::text(&payload)));
        let variables = values.into_iter().map(|(name, type_name, value)| {
            variable(&format!("{name}{text}"), VariableKind::Local, typed(type_name, value))
        });
        let mut capture = samples::capture(variables.collect());
        capture.comm = payload;
        assert_reads_back(&convert::capture("p1", 1, &armed(), &capture, &counted()));
    }
}

#[test]
fn every_number_is_read_to_the_last_bit() {
    let mut state = 1_u64;
    for _ in 0..2000 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let wide = u128::from(state) << (state % 64);
        let numbers = [
            Value::Float64(f64::from_bits(state)),
            Value::Float32(f32::from_bits((state >> 32) as u32)),
            Value::Unsigned(wide),
            Value::Signed(-(wide as i128)),
            Value::Enumerator { name: None, number: wide as i128 },
        ];
        let field = |number| samples::field("x", "T", number);
        let record = Value::Record(numbers.into_iter().map(field).collect());
        let capture =
            samples::capture(vec![variable("v", VariableKind::Local, typed("T", record))]);
        assert_reads_back(&convert::capture("p1", 1, &armed(), &capture, &counted()));
    }
}

#[test]
fn the_deepest_value_that_is_written_is_read() {
    let mut value = Value::Signed(1);
    for _ in 0..2 * LEVELS_MAX {
        value = Value::Record(vec![samples::field("next", "struct node", value)]);
    }
    let capture = samples::capture(vec![variable("v", VariableKind::Local, typed("T", value))]);
    assert_reads_back(&convert::capture("p1", 1, &armed(), &capture, &counted()));
}

#[test]
fn what_is_no_line_of_ours_is_refused() {
    let good = line_of(Value::Signed(1));
    let read = |line: &Json| StreamLine::read(line.to_string().as_bytes());
    assert!(read(&good).is_ok());
    let changed = |value: Json| {
        let mut line = good.clone();
        line["frames"][0]["variables"][0]["value"] = value;
        read(&line)
    };
    assert!(changed(json!({"fields": [{"name": "x", "type": "int"}]})).is_err(), "no value");
    assert!(changed(json!({"unknown": 1})).is_err(), "no form of value");
    assert!(changed(json!({"address": "4096"})).is_err(), "no address");
    assert!(changed(json!({"bytes": "0g"})).is_err(), "no bytes");
    assert!(changed(json!({"bytes": "abc"})).is_err(), "half a byte");
    assert!(changed(json!([1])).is_err(), "a bare array");
    assert!(StreamLine::read(b"{}").is_err());
    assert!(StreamLine::read(b"").is_err());
}

#[test]
fn hostile_names_and_texts_keep_the_schema_and_ascii() {
    for payload in hostile_payloads(300) {
        let name = String::from_utf8_lossy(&payload).into_owned();
        let mut hostile =
            variable(&name, VariableKind::Local, typed(&name, samples::text(&payload)));
        hostile.provenance = Provenance::MovedPc;
        let line = Some(SourceLine { file: name.clone(), line: 3 });
        hostile.moved = Some(OtherPc { pc: Avma(0x401136), line });
        let mut capture = samples::capture(vec![hostile]);
        capture.comm = payload.clone();
        capture.frames[0].function = Some(name.clone());
        let line = json::line(&convert::capture("p1", 1, &armed(), &capture, &counted())).unwrap();
        assert!(line[..line.len() - 1].iter().all(|byte| (0x20..0x7f).contains(byte)));
        assert_valid(&serde_json::from_slice(&line).unwrap());
    }
}

/// A variable in each way that one can be there or not.
fn places() -> Json {
    let local = |name, place| samples::placed(name, VariableKind::Local, place);
    let missing = |elsewhere| Err(samples::missing(ReasonCode::OptimizedOut, elsewhere));
    let vars = samples::vars(vec![
        samples::placed("item", VariableKind::Parameter, Ok("in rdi")),
        local("whole", missing(samples::nearest(44, true))),
        local("part", missing(samples::nearest(45, false))),
        local("nowhere", missing(Elsewhere::Nowhere)),
        local("not_found", missing(Elsewhere::NotFound)),
    ]);
    read_back(&vars::line(&vars))
}

#[test]
fn every_place_of_a_variable_keeps_the_schema_of_vars() {
    let line = places();
    assert_valid_by(VARS_SCHEMA, &line);
    assert_reads_back::<vars::VarsLine>(&serde_json::from_value(line.clone()).unwrap());
    assert_eq!(line["schema"], "tracer/vars/1");
    assert_eq!(line["target"], json!({"pid": 4242, "comm": "billing", "exe": "/usr/bin/billing"}));
    assert_eq!(line["not_probed"][0]["code"], "refused_instruction");
    let site = &line["sites"][0];
    assert_eq!(
        (&site["requested_pc"], &site["pc"]),
        (&"0x558100001230".into(), &"0x558100001234".into())
    );
    assert_eq!(site["trap"], "emulated");
    assert_eq!(site["frames"][0]["inlined"], true);
    assert_eq!(site["frames"][1]["variables"][0]["location"], "at CFA-40 (rsp+24)");
    let variables = &site["frames"][0]["variables"];
    assert_eq!(
        variables[0],
        json!({"name": "item", "type": "int", "kind": "parameter", "location": "in rdi"})
    );
    assert_eq!(variables[1]["unavailable"]["code"], "optimized_out");
    assert_eq!(
        variables[1]["nearest"],
        json!({"location": "/no/such/src/billing.c:44", "file": "/no/such/src/billing.c",
               "line": 44, "pc": "0x558100001240"})
    );
    assert_eq!(variables[2]["nearest"]["location"], "*0x558100001240");
    assert_eq!(
        (&variables[3]["nearest"], &variables[3]["searched_all"]),
        (&Json::Null, &true.into())
    );
    assert_eq!(
        (&variables[4]["nearest"], &variables[4]["searched_all"]),
        (&Json::Null, &false.into())
    );
}

#[test]
fn the_schema_of_vars_refuses_what_we_do_not_write() {
    let schema: Json = serde_json::from_str(VARS_SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let changed = |change: &dyn Fn(&mut Json)| {
        let mut line = places();
        change(&mut line["sites"][0]["frames"][0]["variables"][0]);
        validator.is_valid(&line)
    };
    assert!(changed(&|_| {}));
    assert!(!changed(&|variable| variable["unavailable"] = json!({"code": "x", "text": ""})));
    assert!(!changed(&|variable| variable["nearest"] = Json::Null));
    assert!(!changed(&|variable| variable["value"] = json!(1)));
    assert!(!changed(&|variable| drop(variable.as_object_mut().unwrap().remove("location"))));
}

#[test]
fn hostile_names_keep_the_schema_of_vars() {
    for payload in hostile_payloads(300) {
        let name = String::from_utf8_lossy(&payload).into_owned();
        let vars = vars::line(&samples::hostile_vars(&payload));
        assert_reads_back(&vars);
        let line = json::line(&vars).unwrap();
        assert!(line[..line.len() - 1].iter().all(|byte| (0x20..0x7f).contains(byte)), "{name:?}");
        assert_valid_by(VARS_SCHEMA, &serde_json::from_slice(&line).unwrap());
    }
}
