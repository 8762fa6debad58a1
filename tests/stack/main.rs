//! A node's stack by itself, frame by frame: echo requests, neighbours that do not answer, buffers that run out, fragments, paths that are
//! narrower than they look, and ICMP errors that somebody made up.

mod buffers;
mod cable;
mod echo;
mod extensions;
mod fragments;
mod neighbours;
mod path_mtu;
mod rebound;
mod tables;
