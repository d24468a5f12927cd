//! A hundred faults and more, over each store.
