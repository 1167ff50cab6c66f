//! Which of our addresses a request came to, where services and people have one each: services reach what is theirs and
//! nothing else, and so a network can be closed to people's part as a whole. Pure.

/// The side on which a request came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    /// One address for all.
    #[default]
    Both,
    /// That of services.
    Services,
    /// That of people and their tools.
    People,
}

/// The places of services: nobody else asks there.
const OF_SERVICES: [&str; 5] = [
    "/v1/reports",
    "/v1/reports:batch",
    "/v1/sagas",
    "/v1/sagas/{id}/end",
    "/v1/steps/{id}/outcome",
];
/// What is answered on every side.
const OF_BOTH: [&str; 6] =
    ["/livez", "/readyz", "/healthz", "/metrics", "/v1/sagas/{id}", "/v1/whoami"];

impl Side {
    /// Why there is no such place on this side; none if there is. `place` is the pattern of the route, none if there is
    /// no such route anywhere.
    pub(crate) fn refusal(self, place: Option<&str>) -> Option<&'static str> {
        let is_in = |list: &[&str]| place.is_some_and(|place| list.contains(&place));
        match self {
            Self::Services if !is_in(&OF_SERVICES) && !is_in(&OF_BOTH) => Some(
                "this address takes reports, sagas and callbacks of services, and nothing else; people and their tools reach the supervisor at its other address (`listen`)",
            ),
            Self::People if is_in(&OF_SERVICES) => Some(
                "this address is for people and their tools; reports, sagas and callbacks of services are taken at the other one (`listen_services`)",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_reach_what_is_theirs_and_nothing_else() {
        for place in OF_SERVICES {
            assert_eq!(Side::Services.refusal(Some(place)), None, "{place}");
            assert!(Side::People.refusal(Some(place)).is_some_and(|why| why.contains("services")));
        }
        let of_people = [
            "/",
            "/v1/cases",
            "/v1/cases/{id}",
            "/v1/steps/{id}/acts",
            "/v1/tokens",
            "/v1/reports/x",
            "/v1/reports/rejected",
            "/v1/reports/rejected/{id}",
        ];
        for place in of_people.into_iter().map(Some).chain([None]) {
            assert!(Side::Services.refusal(place).is_some(), "{place:?}");
            assert_eq!(Side::People.refusal(place), None, "{place:?}");
        }
        for place in OF_BOTH {
            assert_eq!(Side::Services.refusal(Some(place)), None, "{place}");
            assert_eq!(Side::People.refusal(Some(place)), None, "{place}");
        }
    }

    #[test]
    fn one_address_for_all_has_every_place() {
        for place in OF_SERVICES.into_iter().chain(["/v1/cases"]) {
            assert_eq!(Side::Both.refusal(Some(place)), None);
        }
    }
}
