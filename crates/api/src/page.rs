//! A list, page by page. Plain data.

use amends_protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// One page of a list. `next` goes back unchanged as `cursor`; absent on the last page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The page ended early so that it comes soon: only cases opened after this moment (or before it, oldest first)
    /// have been looked at; `next` goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_until: Option<Timestamp>,
}

/// Written by hand: a derived schema would hold its rows' once more, and have the same name for every kind of rows.
#[cfg(feature = "openapi")]
mod openapi {
    use super::Page;
    use std::borrow::Cow;
    use utoipa::openapi::schema::{Array, KnownFormat, Object, SchemaFormat, Type};
    use utoipa::openapi::{Ref, RefOr, Schema};
    use utoipa::{PartialSchema, ToSchema};

    impl<T: ToSchema> PartialSchema for Page<T> {
        fn schema() -> RefOr<Schema> {
            let text = |meaning: &str| {
                Object::builder().schema_type(Type::String).description(Some(meaning))
            };
            let rows = Array::builder()
                .items(Ref::from_schema_name(T::name()))
                .description(Some("The rows."));
            let moment = text(
                "The page ended early so that it comes soon: only cases opened after this moment (or before it, oldest first) have been looked at; `next` goes on from there.",
            );
            Object::builder()
                .description(Some("One page of a list."))
                .property("items", rows)
                .required("items")
                .property("next", text("Goes back unchanged as `cursor`; absent on the last page."))
                .property(
                    "searchedUntil",
                    moment.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
                )
                .into()
        }
    }

    impl<T: ToSchema> ToSchema for Page<T> {
        fn name() -> Cow<'static, str> {
            format!("Page_{}", T::name()).into()
        }

        fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            T::schemas(schemas);
            schemas.push((T::name().into_owned(), T::schema()));
        }
    }
}
