//! Source: a repository at one commit.
