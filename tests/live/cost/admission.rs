//! What costs too much is refused with figures, what fits is admitted, and what lies between is
//! sampled.
