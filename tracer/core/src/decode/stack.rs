//! Physical frames → the frames that people know: named, with lines, inlined functions expanded.

use super::unwind::PhysicalFrame;
use crate::binary::code_map::{CodeFrame, CodeMap};
use crate::model::capture::{Frame, StackEnd};

/// Frames in one capture, inlined ones included.
const FRAMES_MAX: usize = 1024;

/// The frames of a capture, innermost first, without variables.
pub(super) struct Stack {
    /// The frames.
    pub(super) frames: Vec<Frame>,
    /// How many of them are at the hit's pc; at least one.
    pub(super) at_hit: usize,
    /// Why there are no more.
    pub(super) end: StackEnd,
}

/// Names frames and expands inlined functions.
pub(super) fn name(physical: &[PhysicalFrame], end: StackEnd, code: &dyn CodeMap) -> Stack {
    let mut frames = Vec::new();
    let mut at_hit = 0;
    for frame in physical {
        let mut functions = code.frames(frame.lookup);
        if functions.is_empty() {
            functions.push(CodeFrame::default());
        }
        if frames.len() + functions.len() > FRAMES_MAX && !frames.is_empty() {
            let end = StackEnd::Lost(format!("{} frames are shown, there are more", frames.len()));
            return Stack { frames, at_hit, end };
        }
        let module = code.module_name(frame.lookup);
        let outermost = functions.len() - 1;
        for (index, function) in functions.into_iter().take(FRAMES_MAX).enumerate() {
            frames.push(Frame {
                pc: frame.pc,
                function: function.function,
                module: module.clone(),
                line: function.line,
                inlined: index < outermost,
                how: frame.how.clone(),
                variables: Vec::new(),
            });
        }
        if at_hit == 0 {
            at_hit = frames.len();
        }
    }
    Stack { frames, at_hit, end }
}
