//! Adds the site's name and other fixed tags to every message as Kafka headers.

use std::collections::BTreeMap;

use millstream_sdk::{Error, Message, Outcome, Plugin};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Value of the header `site`.
    site: String,
    /// More headers: name and value.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Also add `client` and `mqtt-topic`: who sent the message, and where to.
    #[serde(default)]
    origin: bool,
}

struct SiteTags {
    config: Config,
}

impl Plugin for SiteTags {
    type Config = Config;

    fn new(config: Config) -> Result<SiteTags, Error> {
        if config.site.is_empty() {
            return Err(Error::new("`site` is empty; name the site, like { site = \"plant-7\" }"));
        }
        Ok(SiteTags { config })
    }

    fn transform(&mut self, message: &mut Message<'_>) -> Result<Outcome, Error> {
        message.push_header("site", &self.config.site);
        for (name, value) in &self.config.tags {
            message.push_header(name, value);
        }
        if self.config.origin {
            let origin = message.origin();
            message.push_header("client", origin.client_id());
            message.push_header("mqtt-topic", origin.topic());
        }
        Ok(Outcome::Send)
    }
}

millstream_sdk::transform!(SiteTags);
