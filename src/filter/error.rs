//! Why a text is no filter.

use std::ops::Range;

/// A mistake in a filter, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {}: {message}{}", .span.start, .help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct FilterError {
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

impl FilterError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Where it is: bytes of the filter's text, at character boundaries. Empty at the end of a text that stops too
    /// early.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would be right, if that can be told.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
