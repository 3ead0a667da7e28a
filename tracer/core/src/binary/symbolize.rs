//! An address to the functions that it is in, innermost inlined first, with their lines.

use super::code_map::CodeFrame;
use super::dwarf::DebugInfo;
use super::functions::declaration;
use super::lines::source_line;
use crate::model::address::Svma;

/// The functions that an address is in, innermost first, the physical function last. Where debug
/// info knows a line but no function, one frame without a name; where it knows neither, none.
pub fn frames(info: &DebugInfo, svma: Svma) -> Vec<CodeFrame> {
    let function = info.function_at(svma);
    let unit = function.map(|die| die.unit).or_else(|| info.unit_at(svma).map(|(_, unit)| unit));
    let Some(unit) = unit else { return Vec::new() };
    let Some(index) = info.index_of(unit) else { return Vec::new() };
    let row = info.lines(index).and_then(|lines| lines.row_at(svma));
    let mut place = row.map(|row| (u64::from(row.file), u64::from(row.line)));
    let line =
        |place: Option<(u64, u64)>| place.and_then(|(file, line)| source_line(unit, file, line));
    let Some(function) = function else {
        return line(place)
            .map(|line| CodeFrame { function: None, line: Some(line) })
            .into_iter()
            .collect();
    };
    let scopes = info.scopes(index, function.offset);
    let mut frames = Vec::new();
    for scope in scopes.at(svma).into_iter().filter_map(|index| scopes.list.get(index)) {
        let function = declaration(info, info.die(unit, scope.offset)).display();
        frames.push(CodeFrame { function, line: line(place) });
        place = scope.call;
    }
    frames
}
