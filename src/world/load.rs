//! Load: virtual users and their sockets.
