//! Collects extension elements and writes them as one block.

use super::{Element, ExtensionError, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

const MAX_ELEMENTS: usize = 16;
const MAX_VALUE_BYTES: usize = 512;

/// Elements of one outgoing packet, without heap memory: at most 16, with 512 bytes of values.
///
/// The one-byte form is written unless an id or a length needs the two-byte form.
#[derive(Debug, Clone)]
pub struct ExtensionBuilder {
    elements: [(u8, u8); MAX_ELEMENTS],
    element_count: usize,
    values: [u8; MAX_VALUE_BYTES],
    value_bytes: usize,
    two_byte: bool,
}

impl Default for ExtensionBuilder {
    fn default() -> Self {
        ExtensionBuilder {
            elements: [(0, 0); MAX_ELEMENTS],
            element_count: 0,
            values: [0; MAX_VALUE_BYTES],
            value_bytes: 0,
            two_byte: false,
        }
    }
}

impl ExtensionBuilder {
    /// Removes all elements; cheaper than a new builder.
    pub fn clear(&mut self) {
        self.element_count = 0;
        self.value_bytes = 0;
        self.two_byte = false;
    }

    /// Whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.element_count == 0
    }

    /// Adds an element.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::InvalidId`], [`ExtensionError::ValueLength`] above 255 bytes, or
    /// [`ExtensionError::Full`]. The builder is then unchanged.
    pub fn push(&mut self, id: u8, data: &[u8]) -> Result<(), ExtensionError> {
        if id == 0 || id == 15 {
            return Err(ExtensionError::InvalidId);
        }
        let len = u8::try_from(data.len()).map_err(|_| ExtensionError::ValueLength)?;
        let end = self.value_bytes + data.len();
        let slot = self.elements.get_mut(self.element_count).ok_or(ExtensionError::Full)?;
        let target = self.values.get_mut(self.value_bytes..end).ok_or(ExtensionError::Full)?;
        target.copy_from_slice(data);
        *slot = (id, len);
        self.element_count += 1;
        self.value_bytes = end;
        self.two_byte |= id > 14 || !(1..=16).contains(&len);
        Ok(())
    }

    /// The elements so far, in order.
    pub fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        let mut start = 0;
        self.elements.iter().take(self.element_count).map(move |&(id, len)| {
            let end = start + usize::from(len);
            let data = &self.values[start..end];
            start = end;
            Element { id, data }
        })
    }

    /// Bytes before each value: the form is known once all elements are there.
    pub fn element_header_len(&self) -> usize {
        if self.two_byte { 2 } else { 1 }
    }

    /// Bytes [`ExtensionBuilder::write`] writes: 0 if empty, else a multiple of four.
    pub fn block_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let element_header = self.element_header_len();
        4 + (self.element_count * element_header + self.value_bytes).next_multiple_of(4)
    }

    /// Writes profile, length and padded elements to the start of `out`; returns the bytes.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::BufferTooSmall`].
    pub fn write(&self, out: &mut [u8]) -> Result<usize, ExtensionError> {
        let block_len = self.block_len();
        let out = out.get_mut(..block_len).ok_or(ExtensionError::BufferTooSmall)?;
        let Some((header, body)) = out.split_first_chunk_mut::<4>() else { return Ok(0) };
        let profile = if self.two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
        header[..2].copy_from_slice(&profile.to_be_bytes());
        header[2..].copy_from_slice(&((body.len() / 4) as u16).to_be_bytes());
        let mut at = 0;
        for element in self.elements() {
            if self.two_byte {
                body[at..at + 2].copy_from_slice(&[element.id, element.data.len() as u8]);
                at += 2;
            } else {
                body[at] = element.id << 4 | (element.data.len() - 1) as u8;
                at += 1;
            }
            let end = at + element.data.len();
            body[at..end].copy_from_slice(element.data);
            at = end;
        }
        body[at..].fill(0);
        Ok(block_len)
    }
}
