// Records an event from the kiosk's page: it is sent with the same id until it is answered.
const TOKEN = "the token that `outpost token create` printed";

export async function record(type, data) {
  const event = { specversion: "1.0", id: crypto.randomUUID(), source: "/store/42/kiosk/3", type, data };
  const request = {
    method: "POST",
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/cloudevents+json" },
    body: JSON.stringify(event),
  };
  for (;;) {
    const answer = await fetch("http://127.0.0.1:7717/v1/events", request).catch(() => ({ status: 0 }));
    if (answer.status > 0 && answer.status < 500) return answer;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
