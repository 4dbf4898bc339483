// Requests to the server. The token is the first part of this page's path; it goes along in a header.
const token = location.pathname.split("/")[1];

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. What was decided is saved; start it again.");
  }
  if (response.ok) return response.json();
  let detail = `The server answered with ${response.status}.`;
  try {
    detail = (await response.json()).detail || detail;
  } catch { /* it had no more to say */ }
  throw new Error(detail);
}

export function ask(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null));
  return answered(`/api/${path}?${query}`, { headers: { "X-Medcode-Token": token } });
}

export function send(path, body = {}) {
  const headers = { "X-Medcode-Token": token, "Content-Type": "application/json" };
  return answered(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}
