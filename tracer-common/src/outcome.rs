//! How a hit can end. Every hit ends in exactly one outcome; their sum is the number of hits.

macro_rules! outcomes {
    ($($name:ident = $value:literal, $code:literal, $text:literal;)+) => {
        /// The outcomes of a hit, as an index into the counters of its site.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Outcome { $(#[doc = $text] $name = $value,)+ }

        impl Outcome {
            /// All of them, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// The stable name in JSON and metrics.
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code,)+ } }
            /// One sentence for people.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
        }
    };
}

outcomes! {
    Captured = 0, "captured", "a record was sent";
    Disabled = 1, "disabled", "the site was switched off when the thread came by";
    Foreign = 2, "foreign", "another process than the target, such as a forked child, came by";
    Elsewhere = 3, "elsewhere", "the same place of the file was executed at another address: the process replaced its program, or mapped the file once more";
    HitLimit = 4, "hit_limit", "the probe's hit limit was already reached";
    RateLimit = 5, "rate_limit", "the probe's capture rate was exceeded";
    LostNoScratch = 6, "lost_no_scratch", "no scratch buffer was free: too many threads hit at once";
    LostRingFull = 7, "lost_ring_full", "the ring buffer was full: the reader was too slow";
    LostPlan = 8, "lost_plan", "the kernel program could not start the plan";
    Denied = 9, "denied", "the process had become one that the probe's owner may not trace: another user's, setuid, with capabilities, or not dumpable";
    Aggregated = 10, "aggregated", "counted in the kernel; nothing was copied";
    Tripped = 11, "tripped", "the probe had cost more than it may and was being taken out";
    Expired = 12, "expired", "the probe's time was over and it was being taken out";
    OverBudget = 13, "over_budget", "half of the budget of this moment was spent: nothing was copied";
}

/// The number of outcomes.
pub const OUTCOMES: usize = Outcome::ALL.len();
