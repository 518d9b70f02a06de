//! The negotiated header extensions of one transport.

use super::ExtensionError;
use crate::api::{ExtensionId, ExtensionKind};

const KINDS: usize = ExtensionKind::DependencyDescriptor as usize + 1;

/// Which id means which extension, looked up per packet in constant time both ways.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct ExtensionMap {
    by_kind: [u8; KINDS],
    by_id: [Option<ExtensionKind>; 256],
}

impl Default for ExtensionMap {
    fn default() -> Self {
        ExtensionMap { by_id: [None; 256], by_kind: [0; KINDS] }
    }
}

impl ExtensionMap {
    /// Builds the table.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::InvalidId`] for 0 and 15, [`ExtensionError::Duplicate`] when an id or
    /// a kind occurs twice.
    pub fn new(extensions: &[ExtensionId]) -> Result<ExtensionMap, ExtensionError> {
        let mut map = ExtensionMap::default();
        for extension in extensions {
            if extension.id == 0 || extension.id == 15 {
                return Err(ExtensionError::InvalidId);
            }
            let kind = &mut map.by_id[usize::from(extension.id)];
            let id = &mut map.by_kind[extension.kind as usize];
            if kind.is_some() || *id != 0 {
                return Err(ExtensionError::Duplicate);
            }
            *kind = Some(extension.kind);
            *id = extension.id;
        }
        Ok(map)
    }

    /// What the id means, if it was negotiated.
    pub fn kind(&self, id: u8) -> Option<ExtensionKind> {
        self.by_id[usize::from(id)]
    }

    /// The id of an extension, if it was negotiated.
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        let id = self.by_kind[kind as usize];
        (id != 0).then_some(id)
    }
}
