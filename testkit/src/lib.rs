//! Real servers on free ports, a proxy that misbehaves, process control.
