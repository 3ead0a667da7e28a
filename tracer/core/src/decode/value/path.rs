//! How a programmer writes the place of a value: `head->next`, `self.items[2]`.

/// The place of a value. Members are appended while the value is walked and taken off again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    text: String,
    /// `text` names a pointer to the value, so that members come behind `->`.
    arrow: bool,
}

/// What to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    arrow: bool,
}

/// What a pointer's target is, for it decides how its parts are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// `p->member`.
    Members,
    /// `(*p)[0]`.
    Array,
    /// `p[0]`.
    Elements,
    /// `*p`.
    Other,
}

impl Path {
    /// A variable.
    pub(super) fn variable(name: &str) -> Self {
        Self { text: name.to_owned(), arrow: false }
    }

    /// The place that is shown to people.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What the pointer at this place points to.
    pub(super) fn target(mut self, target: Target) -> Self {
        match target {
            Target::Members => self.arrow = true,
            Target::Elements => {}
            Target::Array => self.text = format!("(*{})", self.text),
            Target::Other => self.text = format!("*{}", self.text),
        }
        self
    }

    fn mark(&self) -> Mark {
        Mark { length: self.text.len(), arrow: self.arrow }
    }

    /// Goes to a member; those of an anonymous one are written as if they were its owner's.
    pub(super) fn enter_member(&mut self, name: Option<&str>) -> Mark {
        let mark = self.mark();
        if let Some(name) = name {
            self.text.push_str(if self.arrow { "->" } else { "." });
            self.text.push_str(name);
            self.arrow = false;
        }
        mark
    }

    /// Goes to an element.
    pub(super) fn enter_element(&mut self, index: u64) -> Mark {
        let mark = self.mark();
        self.text.push_str(&format!("[{index}]"));
        self.arrow = false;
        mark
    }

    /// Goes back.
    pub(super) fn leave(&mut self, mark: Mark) {
        self.text.truncate(mark.length);
        self.arrow = mark.arrow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_in_the_source() {
        let mut path = Path::variable("head").target(Target::Members);
        let outer = path.enter_member(Some("next"));
        assert_eq!(path.text(), "head->next");
        assert_eq!(path.clone().target(Target::Other).text(), "*head->next");
        path.leave(outer);
        let anonymous = path.enter_member(None);
        path.enter_member(Some("items"));
        path.enter_element(2);
        path.enter_member(Some("id"));
        assert_eq!(path.text(), "head->items[2].id");
        path.leave(anonymous);
        assert_eq!(path, Path::variable("head").target(Target::Members));
        let mut row = Path::variable("rows").target(Target::Array);
        row.enter_element(0);
        assert_eq!(row.text(), "(*rows)[0]");
    }
}
