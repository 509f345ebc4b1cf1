//! What the job works on: orders that are made up from their row, and a service that knows customers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

const CUSTOMERS: u64 = 50_000;
const COUNTRIES: [&str; 5] = ["Austria", "Brazil", "Chad", "Denmark", "Estonia"];

/// One order.
pub(crate) struct Order {
    pub(crate) customer: u64,
    pub(crate) cents: u64,
}

impl Order {
    /// The order of that row: few customers order much, many a little.
    pub(crate) fn of_row(row: u64) -> Order {
        let random = (row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let random = (random ^ (random >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let (low, high) = (random & 0xffff_ffff, random >> 32);
        // The square of a number below 1 lies near 0 more often than near 1.
        let customer = (((low * low) >> 32) * CUSTOMERS) >> 32;
        Order { customer, cents: 100 + high % 10_000 }
    }
}

/// What the service knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) country: String,
}

impl Customer {
    /// Every hundredth is unknown.
    pub(crate) fn of_id(id: u64) -> Option<Customer> {
        let country = COUNTRIES[usize::try_from(id % 5).unwrap_or(0)];
        (id % 100 != 99).then(|| Customer { country: country.to_owned() })
    }
}

/// The service, which takes 2 ms for a call, whatever the number of customers: what is known of these, in their order.
pub(crate) async fn fetch_customers(ids: Vec<u64>) -> Result<Vec<Option<Customer>>, std::io::Error> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Ok(ids.into_iter().map(Customer::of_id).collect())
}

/// What the orders come to, by country.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Revenue {
    cents: BTreeMap<String, u64>,
}

impl Revenue {
    /// One order more.
    pub(crate) fn count(&mut self, order: &Order, customer: Option<&Customer>) {
        let country = customer.map_or("unknown", |customer| &customer.country);
        match self.cents.get_mut(country) {
            Some(cents) => *cents += order.cents,
            None => drop(self.cents.insert(country.to_owned(), order.cents)),
        }
    }

    /// Those of another chunk.
    pub(crate) fn add(&mut self, other: &Revenue) {
        for (country, cents) in &other.cents {
            *self.cents.entry(country.clone()).or_default() += cents;
        }
    }
}

impl fmt::Display for Revenue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cents
            .iter()
            .try_for_each(|(country, cents)| writeln!(f, "{country:<10} {:>12}.{:02}", cents / 100, cents % 100))
    }
}
