//! Validators of the protocol's schemas, which know each other by their addresses.

use amends_protocol::schemas::{SCHEMA_BASE, all};
use jsonschema::Registry;
use serde_json::Value;

/// The protocol's schemas, ready to be referred to.
pub struct Schemas(Registry<'static>);

impl Schemas {
    pub fn new() -> Self {
        let add = |registry: jsonschema::RegistryBuilder<'static>,
                   (name, schema): (&str, Value)| {
            registry.add(format!("{SCHEMA_BASE}{name}.json"), schema).expect("an address")
        };
        Self(all().into_iter().fold(Registry::new(), add).prepare().expect("schemas"))
    }

    /// Fails, with all that is wrong, unless the message is valid under a schema that may refer to ours.
    #[track_caller]
    pub fn check(&self, schema: &Value, message: &Value, what: &str) {
        let validator = jsonschema::draft202012::options()
            .with_registry(&self.0)
            .should_validate_formats(true)
            .build(schema)
            .expect("a valid schema");
        let wrong: Vec<String> = validator
            .iter_errors(message)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{what}: {}\n{message:#}", wrong.join("; "));
    }
}
