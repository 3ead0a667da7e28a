//! Answers to the last questions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Answers that are kept.
const KEPT: usize = 64;

/// Answers by question; the oldest ones go.
#[derive(Debug)]
pub(super) struct Memo<A> {
    kept: Mutex<VecDeque<(Box<str>, Arc<A>)>>,
}

impl<A> Default for Memo<A> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<A> Memo<A> {
    /// The answer to a question, worked out where it was not asked lately.
    pub(super) fn answer(&self, question: &str, answer: impl FnOnce() -> A) -> Arc<A> {
        if let Ok(kept) = self.kept.lock()
            && let Some((_, answer)) = kept.iter().find(|(asked, _)| **asked == *question)
        {
            return Arc::clone(answer);
        }
        let answer = Arc::new(answer());
        if let Ok(mut kept) = self.kept.lock() {
            kept.truncate(KEPT - 1);
            kept.push_front((question.into(), Arc::clone(&answer)));
        }
        answer
    }

    /// Bytes that the questions and answers take; `of` gives those of an answer.
    pub(super) fn bytes(&self, of: impl Fn(&A) -> usize) -> usize {
        let Ok(kept) = self.kept.lock() else { return 0 };
        kept.iter().map(|(question, answer)| question.len() + of(answer)).sum()
    }
}
