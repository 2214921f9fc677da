//! Load check: the measured gate, in k6's own words.
