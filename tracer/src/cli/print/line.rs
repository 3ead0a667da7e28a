//! Lines of escaped, coloured text. The only way to output for people goes through [`Escaped`].

use crate::escape::Escaped;
use anstyle::{AnsiColor, Color, Style};

/// What a piece of text is; decides its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    /// As it comes.
    Plain,
    /// Less important: addresses, types, how a frame was found.
    Dim,
    /// The name of a function or a heading.
    Bold,
    /// The name of a variable or member.
    Name,
    /// A value.
    Value,
    /// Something is missing.
    Missing,
    /// An error.
    Error,
    /// What to do.
    Advice,
}

impl Ink {
    /// What switches the terminal to it.
    #[cfg(test)]
    pub(crate) fn sequence(self) -> String {
        self.style().render().to_string()
    }

    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Dim => Style::new().dimmed(),
            Self::Bold => Style::new().bold(),
            Self::Name => colour(AnsiColor::Cyan),
            Self::Value => colour(AnsiColor::Green),
            Self::Missing => colour(AnsiColor::Yellow),
            Self::Error => colour(AnsiColor::Red).bold(),
            Self::Advice => colour(AnsiColor::Blue).bold(),
        }
    }
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// A line, or a part of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pieces: Vec<(Ink, Escaped)>,
    width: usize,
}

impl Line {
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The line with `text` behind it.
    #[must_use]
    pub(crate) fn with(mut self, ink: Ink, text: impl Into<Escaped>) -> Self {
        self.push(ink, text);
        self
    }

    /// The line with `text` in the common colour behind it.
    #[must_use]
    pub(crate) fn text(self, text: impl Into<Escaped>) -> Self {
        self.with(Ink::Plain, text)
    }

    /// Puts `text` behind.
    pub(crate) fn push(&mut self, ink: Ink, text: impl Into<Escaped>) {
        let text = text.into();
        self.width += text.width();
        self.pieces.push((ink, text));
    }

    /// Puts another line behind.
    pub(crate) fn append(&mut self, other: Self) {
        self.width += other.width;
        self.pieces.extend(other.pieces);
    }

    /// The line with another one behind it.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.append(other);
        self
    }

    /// Columns.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Spaces that fill it up to `columns`, at least one.
    #[must_use]
    pub(crate) fn pad(mut self, columns: usize) -> Self {
        for _ in self.width..columns.max(self.width + 1) {
            self.push(Ink::Plain, " ");
        }
        self
    }
}

/// Lines that are ready to be written, with the escape sequences of their colours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// An empty page.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &Line) {
        for (ink, piece) in &line.pieces {
            let style = ink.style();
            if style.is_plain() {
                self.text.push_str(piece.as_str());
            } else {
                self.text.push_str(&style.render().to_string());
                self.text.push_str(piece.as_str());
                self.text.push_str(&style.render_reset().to_string());
            }
        }
        self.text.push('\n');
    }

    /// Adds an empty line.
    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Adds the lines of another page.
    pub(crate) fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
    }

    /// All of it, coloured.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// All of it without colours: what a file gets.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.text).to_string()
    }
}
