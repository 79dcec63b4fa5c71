//! Whole connections over an in-memory stream: raw bytes on one side, the test as the pipeline on the other.

mod events;
mod hostile;
mod publisher;
mod subscriber;
