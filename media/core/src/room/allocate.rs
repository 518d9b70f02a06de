//! What a subscriber gets of its budget.

use super::Room;
use crate::shared::Cx;
use crate::table::Key;

impl Room {
    /// Divides the transport's budget among its subscriptions.
    pub(super) fn allocate(&mut self, _cx: &mut Cx, _transport: Key) {}
}
