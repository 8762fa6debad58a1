//! A node: a guest's place in the network.

/// What `open` is asked for (`filetype` 6 and 5 of the guest ABI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    Stream,
    Datagram,
}
