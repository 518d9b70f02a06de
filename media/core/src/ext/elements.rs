//! Iterates over the elements of an extension block (RFC 8285, sections 4.2 and 4.3).

use super::{ExtensionError, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

/// One element of an extension block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Local identifier: 1..=14 in the one-byte form, 1..=255 in the two-byte form.
    pub id: u8,
    /// At most 16 bytes in the one-byte form, 255 in the two-byte form; may be empty there.
    pub data: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Form {
    OneByte,
    TwoByte,
}

/// Elements of one block, in order. Ends after the first error.
///
/// Padding is skipped. In the one-byte form id 15 ends the block, and so does padding that
/// carries a length, as section 4.2 demands. Blocks of other profiles have no elements.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Elements of `block`, the bytes after the profile and length fields.
    pub fn new(profile: u16, block: &'a [u8]) -> Elements<'a> {
        if profile == ONE_BYTE_PROFILE {
            Elements { form: Form::OneByte, rest: block }
        } else if profile & 0xfff0 == TWO_BYTE_PROFILE {
            Elements { form: Form::TwoByte, rest: block }
        } else {
            Elements::empty()
        }
    }

    /// No elements.
    pub fn empty() -> Elements<'a> {
        Elements { form: Form::OneByte, rest: &[] }
    }

    /// Splits off the element at the start of `rest`; `None` at the end of the block.
    fn split_element(&mut self) -> Option<Result<Element<'a>, ExtensionError>> {
        let (&first, rest) = self.rest.split_first()?;
        let (id, len, rest) = match (self.form, rest.split_first()) {
            (Form::OneByte, _) if matches!(first >> 4, 0 | 15) => return None,
            (Form::OneByte, _) => (first >> 4, usize::from(first & 0x0f) + 1, rest),
            (Form::TwoByte, Some((&len, rest))) => (first, len.into(), rest),
            (Form::TwoByte, None) => return Some(Err(ExtensionError::ElementLength)),
        };
        let Some((data, rest)) = rest.split_at_checked(len) else {
            return Some(Err(ExtensionError::ElementLength));
        };
        self.rest = rest;
        Some(Ok(Element { id, data }))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, ExtensionError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let element = self.split_element();
        if !matches!(element, Some(Ok(_))) {
            self.rest = &[];
        }
        element
    }
}
