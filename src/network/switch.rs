//! Ethernet switch.
