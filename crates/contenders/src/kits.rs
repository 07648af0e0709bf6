//! What tasks talk through: a library's channels, lock, pipes and sockets, as the runtimes that use them share them.

pub(crate) mod floor;
pub(crate) mod mini;
pub(crate) mod smol;
pub(crate) mod tokio;
