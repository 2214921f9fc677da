//! Service address: where a Service can be reached from here.
