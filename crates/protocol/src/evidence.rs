//! Evidence: what anybody says of a saga's requests, and the one way in which it enters from outside.
//!
//! A report with malformed evidence is refused, so that its author mends it. Everywhere else ([`Testimony`]) what can
//! be read counts, and what is lost is kept as a fact: a malformed entry never costs the outcome that came with it.

use crate::{ActionName, HistoryState, check_data, is_opaque_name};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Most pieces of evidence in one report, in one answer, in one History, and kept of all answers of one witness in one
/// case; a saga with more requests than this is none.
pub const EVIDENCE_LIMIT: usize = 1_000;
/// Most data of one piece of evidence, in bytes of JSON.
pub const EVIDENCE_DATA_LIMIT: usize = 4 << 10;
/// Most data of all evidence in one report, and of all that one case keeps of answers and Histories, in bytes of JSON.
pub const CASE_EVIDENCE_DATA_LIMIT: usize = 64 << 10;

/// One thing that a History says of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// The service that the request went to.
    pub service: String,
    /// The operation.
    pub action: String,
    /// The request's id; absent if it is not known which request it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What is known of it.
    pub state: HistoryState,
    /// What undoing this one request needs.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// Why a piece of evidence cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The member.
    pub field: &'static str,
    /// What is wrong with it, and how to mend it.
    pub what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.what)
    }
}

impl Evidence {
    /// Evidence of one request, without data.
    #[must_use]
    pub fn new(
        service: impl Into<String>,
        action: impl Into<String>,
        request_id: impl Into<String>,
        state: HistoryState,
    ) -> Self {
        Self {
            service: service.into(),
            action: action.into(),
            request_id: Some(request_id.into()),
            state,
            data: Map::new(),
        }
    }

    /// The one check of evidence: names that can be stored, data within bounds.
    ///
    /// # Errors
    /// Says which member cannot be taken, and why.
    pub fn check(&self) -> Result<(), Malformed> {
        let texts = [
            ("service", Some(&self.service)),
            ("action", Some(&self.action)),
            ("requestId", self.request_id.as_ref()),
        ];
        let is_bad = |text: &&String| !is_opaque_name(text);
        for (field, text) in texts {
            if let Some(text) = text.filter(is_bad) {
                let shown: String = text.chars().take(crate::NAME_LIMIT).collect();
                let what = format!("is `{shown}`; {NAME_RULE}");
                return Err(Malformed { field, what });
            }
        }
        let refused = |what: String| Malformed { field: "data", what };
        if self.data_bytes() > EVIDENCE_DATA_LIMIT {
            let bytes = self.data_bytes();
            return Err(refused(format!(
                "has {bytes} bytes; at most {EVIDENCE_DATA_LIMIT} are taken, so give only what undoing needs"
            )));
        }
        check_data("data", &self.data).map_err(|e| refused(format!("can't be kept: {e}")))
    }

    /// Bytes of its data as JSON; 0 without any.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        match self.data.is_empty() {
            true => 0,
            false => serde_json::to_string(&self.data).map_or(usize::MAX, |text| text.len()),
        }
    }

    /// The action that it is about.
    #[must_use]
    pub fn name(&self) -> ActionName {
        ActionName::new(&self.service, &self.action)
    }

    /// One entry as it came, and how much of it was lost: data that can't be kept are left out, without a name there is
    /// no entry.
    fn read(mut value: Value, service: Option<&str>) -> Result<(Self, Option<Lost>), Lost> {
        if !value.is_object() {
            return Err(Lost { action: None, why: Loss::Malformed });
        }
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let name = text("service").or(service).zip(text("action"));
        let name = name.filter(|(service, action)| {
            [service, action].into_iter().all(|text| is_opaque_name(text))
        });
        let action = name.map(|(service, action)| ActionName::new(service, action));
        let lost = |why: Loss| Lost { action: action.clone(), why };
        if let (Some(members), Some(service)) = (value.as_object_mut(), service)
            && members.get("service").is_none_or(Value::is_null)
        {
            members.insert("service".to_owned(), service.into());
        }
        let data = value.as_object_mut().and_then(|members| members.remove("data"));
        let mut evidence: Self =
            serde_json::from_value(value).map_err(|_| lost(Loss::Malformed))?;
        evidence.check().map_err(|_| lost(Loss::Malformed))?;
        let kept = match data {
            None | Some(Value::Null) => return Ok((evidence, None)),
            Some(Value::Object(data)) => {
                evidence.data = data;
                evidence.check().is_ok()
            }
            Some(_) => false,
        };
        if kept {
            return Ok((evidence, None));
        }
        evidence.data = Map::new();
        Ok((evidence, Some(lost(Loss::Data))))
    }

    fn key(&self) -> (&str, &str, Option<&str>) {
        (&self.service, &self.action, self.request_id.as_deref())
    }
}

impl Ord for Evidence {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_name = self.key().cmp(&other.key()).then(self.state.cmp(&other.state));
        by_name.then_with(|| match self.data == other.data {
            true => Ordering::Equal,
            false => {
                let text = |map| serde_json::to_string(map).unwrap_or_default();
                text(&self.data).cmp(&text(&other.data))
            }
        })
    }
}

impl PartialOrd for Evidence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a name or an id must be, as messages say it.
pub const NAME_RULE: &str = "it must be 1 to 128 bytes of printable ASCII without spaces";

/// A piece of evidence that did not arrive whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lost {
    /// The action that it was about, as far as that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// Why.
    pub why: Loss,
}

/// Why a piece of evidence did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// It cannot be read as evidence.
    Malformed,
    /// There is more of it than is kept, and it told of an action or a request that nothing else tells of.
    Limit,
    /// Its data are no object, or more than is kept; the rest of it counts.
    Data,
}

impl Loss {
    /// The word in the store and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Limit => "limit",
            Self::Data => "data",
        }
    }
}

/// Evidence as it came from outside, checked: what counts, and what was lost of it. On the wire it is the list of what
/// counts. Whatever stands in its place there is read without an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// Whether a list came at all: one that is empty says that there is nothing, one that is not there says nothing.
    given: bool,
    entries: Vec<Evidence>,
    lost: Vec<Lost>,
}

impl Testimony {
    /// A list of entries as it came; those that name no service are `service`'s own, if it is given.
    #[must_use]
    pub fn read(list: Vec<Value>, service: Option<&str>) -> Self {
        let mut all = Self { given: true, ..Self::default() };
        let mut places = BTreeMap::new();
        for value in list {
            match Evidence::read(value, service) {
                Ok((evidence, lost)) => {
                    all.lost.extend(lost);
                    all.admit(evidence, &mut places);
                }
                Err(lost) => all.lost.push(lost),
            }
        }
        all.lost.sort_unstable();
        all.lost.dedup();
        all
    }

    /// Takes one more, if there is room. Beyond, one of a request that is there already adds what it says of it.
    fn admit(
        &mut self,
        evidence: Evidence,
        places: &mut BTreeMap<(String, String, Option<String>), usize>,
    ) {
        let key = (evidence.service.clone(), evidence.action.clone(), evidence.request_id.clone());
        if self.entries.len() < EVIDENCE_LIMIT {
            places.entry(key).or_insert(self.entries.len());
            return self.entries.push(evidence);
        }
        match places.get(&key) {
            Some(place) => {
                let held = &mut self.entries[*place];
                held.state = held.state.joined(evidence.state);
            }
            None => {
                let action = Some(evidence.name());
                self.lost.push(Lost { action, why: Loss::Limit });
            }
        }
    }

    /// Whether anything was said, be it that there is nothing.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.given
    }

    /// Whether it leaves nothing out: a list came, and all of it could be read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.given && self.lost.is_empty()
    }

    /// What counts.
    #[must_use]
    pub fn entries(&self) -> &[Evidence] {
        &self.entries
    }

    /// What was lost.
    #[must_use]
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// More of the same witness, e.g. the next page of a History.
    pub fn append(&mut self, more: Self) {
        let key = |e: &Evidence| (e.service.clone(), e.action.clone(), e.request_id.clone());
        let mut places = BTreeMap::new();
        for (place, held) in self.entries.iter().enumerate() {
            places.entry(key(held)).or_insert(place);
        }
        self.given |= more.given;
        self.lost.extend(more.lost);
        more.entries.into_iter().for_each(|evidence| self.admit(evidence, &mut places));
        self.lost.sort_unstable();
        self.lost.dedup();
    }

    /// What was taken apart: whether a list came, what counts of it, and what was lost.
    #[must_use]
    pub fn from_parts(given: bool, entries: Vec<Evidence>, lost: Vec<Lost>) -> Self {
        Self { given, entries, lost }
    }

    /// Both parts.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Evidence>, Vec<Lost>) {
        (self.entries, self.lost)
    }
}

impl From<Vec<Evidence>> for Testimony {
    fn from(list: Vec<Evidence>) -> Self {
        let mut all = Self { given: true, ..Self::default() };
        let mut places = BTreeMap::new();
        for evidence in list {
            match evidence.check() {
                Ok(()) => all.admit(evidence, &mut places),
                Err(_) => all.lost.push(Lost { action: None, why: Loss::Malformed }),
            }
        }
        all.lost.sort_unstable();
        all.lost.dedup();
        all
    }
}

impl FromIterator<Evidence> for Testimony {
    fn from_iter<I: IntoIterator<Item = Evidence>>(list: I) -> Self {
        list.into_iter().collect::<Vec<_>>().into()
    }
}

impl std::ops::Deref for Testimony {
    type Target = [Evidence];

    fn deref(&self) -> &[Evidence] {
        &self.entries
    }
}

impl Serialize for Testimony {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Testimony {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Array(list) => Self::read(list, None),
            Value::Null => Self::default(),
            _ => {
                let lost = vec![Lost { action: None, why: Loss::Malformed }];
                Self { lost, ..Self::default() }
            }
        })
    }
}

/// On the wire `null` is the same as a member that is not there.
///
/// # Errors
/// Those of the member itself.
pub fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A list of objects that may be absent or null. Serde takes a list for the members of a struct in their order too;
/// what comes so is a mistake.
pub(crate) fn objects_or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let all = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(all.unwrap_or_default().into_iter().map(|Object(one)| one).collect())
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// A text for people that came with something that counts: anything else in its place is no reason to lose that.
///
/// # Errors
/// None of the text's own.
pub(crate) fn text_or_nothing<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(id: Value, state: &str) -> Value {
        json!({ "service": "rider", "action": "match", "requestId": id, "state": state })
    }

    fn read(list: Value) -> Testimony {
        serde_json::from_value(list).expect("whatever came")
    }

    #[test]
    fn what_is_absent_may_be_null() {
        let mut one = entry(Value::Null, "started");
        one["data"] = Value::Null;
        let told = read(json!([one]));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].request_id.as_deref(), told[0].data.len()), (None, 0));
        assert!(told.lost().is_empty());
        assert_eq!(read(Value::Null), Testimony::default());
    }

    #[test]
    fn a_malformed_entry_costs_itself_alone() {
        let told = read(json!([entry(json!("r-1"), "odd"), 7, entry(json!("r-2"), "failed")]));
        assert_eq!(told.iter().map(|e| e.request_id.as_deref()).collect::<Vec<_>>(), [Some("r-2")]);
        let rider = Some("rider.match".parse().expect("a name"));
        assert_eq!(
            told.lost(),
            [
                Lost { action: None, why: Loss::Malformed },
                Lost { action: rider, why: Loss::Malformed }
            ]
        );
        assert_eq!(read(json!("long")).lost().len(), 1);
    }

    #[test]
    fn the_members_of_an_entry_have_names() {
        let row = json!([["rider", "match", "r-1", "succeeded", {}]]);
        let told = read(row.clone());
        assert_eq!((told.len(), told.lost().len()), (0, 1));
        let report = |history: &Value| {
            serde_json::from_value::<crate::ReportData>(json!({ "code": "c", "history": history }))
        };
        let refused = report(&row).expect_err("a list is no entry").to_string();
        assert!(refused.contains("expected an object"), "{refused}");
        let mut whole = entry(json!("r-1"), "failed");
        whole["data"] = json!({ "amount": 12.50 });
        let kept = report(&json!([whole])).expect("a report");
        assert_eq!(kept.history[0].data["amount"].to_string(), "12.5");
        assert!(report(&Value::Null).expect("a report").history.is_empty());
    }

    #[test]
    fn data_that_cannot_be_kept_cost_the_data_alone() {
        for data in [json!(["a"]), json!({ "a": "x".repeat(EVIDENCE_DATA_LIMIT) })] {
            let mut one = entry(json!("r-1"), "succeeded");
            one["data"] = data;
            let told = read(json!([one]));
            assert_eq!((told.len(), told[0].data.len()), (1, 0));
            assert_eq!(told.lost().iter().map(|l| l.why).collect::<Vec<_>>(), [Loss::Data]);
        }
        let mut one = entry(json!("r-1"), "succeeded");
        one["data"] = json!({ "paymentId": "p-1", "amount": 12.50 });
        let told = read(json!([one]));
        assert_eq!(serde_json::to_value(&told[0]).expect("JSON")["data"]["paymentId"], "p-1");
    }

    #[test]
    fn beyond_the_limit_only_what_tells_of_a_further_request_is_lost() {
        let mut many: Vec<Value> =
            (0..EVIDENCE_LIMIT).map(|n| entry(json!(format!("r-{n}")), "failed")).collect();
        many.push(entry(json!("r-7"), "succeeded"));
        let told = read(Value::Array(many.clone()));
        assert_eq!((told.len(), told.lost().len()), (EVIDENCE_LIMIT, 0));
        assert_eq!(told[7].state, HistoryState::Succeeded, "what it says of the request counts");
        many.push(entry(json!("another"), "succeeded"));
        assert_eq!(read(Value::Array(many)).lost()[0].why, Loss::Limit);
    }
}
