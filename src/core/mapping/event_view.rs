//! An event as a value of the expression engine.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Object;

use super::values::OF_TABLE;
use crate::core::event::Event;

/// An event as expressions see it.
#[derive(Debug)]
struct EventView {
    id: Value,
    source: Value,
    event_type: Value,
    subject: Value,
    time: Value,
    data: Value,
    of_table: bool,
}

/// Returns the value over which expressions are evaluated.
pub(super) fn view(event: &Event) -> Value {
    Value::from_object(EventView {
        id: Value::from(event.id.as_str()),
        source: Value::from(event.source.as_str()),
        event_type: Value::from(event.event_type.as_str()),
        subject: event.subject.as_deref().map_or(Value::UNDEFINED, Value::from),
        time: Value::from(event.time.to_string()),
        data: event.data.clone(),
        of_table: event.may_be_of_table,
    })
}

impl Object for EventView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "id" => Some(self.id.clone()),
            "source" => Some(self.source.clone()),
            "type" => Some(self.event_type.clone()),
            "subject" => Some(self.subject.clone()),
            "time" => Some(self.time.clone()),
            "data" => Some(self.data.clone()),
            OF_TABLE => Some(Value::from(self.of_table)),
            _ => None,
        }
    }
}
