// Converts units in JSON payloads: {"fields": {"temp": "fahrenheit_to_celsius"}}. README.md has the configuration.
//
// A field that is absent is left alone; one that is not a number refuses the message, because a wrong unit in a topic is
// worse than a missing message.

const CONVERSIONS = {
  fahrenheit_to_celsius: (x) => (x - 32) / 1.8,
  celsius_to_fahrenheit: (x) => x * 1.8 + 32,
  psi_to_bar: (x) => x * 0.0689475729,
  bar_to_psi: (x) => x / 0.0689475729,
  miles_to_kilometres: (x) => x * 1.609344,
  kilometres_to_miles: (x) => x / 1.609344,
  gallons_to_litres: (x) => x * 3.785411784,
  litres_to_gallons: (x) => x / 3.785411784,
};

let fields = [];
let digits = 3;

export const plugin = {
  init(config) {
    const settings = JSON.parse(config);
    const unknown = Object.keys(settings).filter((key) => key !== 'fields' && key !== 'digits');
    if (unknown.length > 0) throw `unknown setting: ${unknown.join(', ')}`;
    if (settings.fields == null || Object.keys(settings.fields).length === 0) {
      throw '`fields` is empty; write fields = { temp = "fahrenheit_to_celsius" }';
    }
    digits = settings.digits ?? 3;
    if (!Number.isInteger(digits) || digits < 0 || digits > 15) throw '`digits` must be 0 to 15';
    fields = Object.entries(settings.fields).map(([field, name]) => {
      const convert = Object.hasOwn(CONVERSIONS, name) ? CONVERSIONS[name] : null;
      if (convert === null) throw `${name} is no conversion; there are ${Object.keys(CONVERSIONS).join(', ')}`;
      return { path: field.split('.'), field, convert };
    });
  },

  transform(batch) {
    return batch.map(one);
  },
};

function one(message) {
  const value = message.outgoing.value;
  if (value == null) return { tag: 'keep' };
  let payload;
  try {
    payload = JSON.parse(fromUtf8(value));
  } catch {
    return { tag: 'refuse', val: 'the payload is not JSON; it cannot be converted' };
  }
  let converted = false;
  for (const { path, field, convert } of fields) {
    let holder = payload;
    for (const key of path.slice(0, -1)) holder = isObject(holder) ? holder[key] : undefined;
    const last = path[path.length - 1];
    if (!isObject(holder) || !Object.hasOwn(holder, last)) continue;
    if (typeof holder[last] !== 'number') return { tag: 'refuse', val: `\`${field}\` is not a number` };
    holder[last] = Number(convert(holder[last]).toFixed(digits));
    converted = true;
  }
  if (!converted) return { tag: 'keep' };
  return { tag: 'replace', val: [{ ...message.outgoing, value: toUtf8(JSON.stringify(payload)) }] };
}

function isObject(value) {
  return typeof value === 'object' && value !== null;
}

// The engine has no TextDecoder and TextEncoder.
function fromUtf8(bytes) {
  let escaped = '';
  for (const byte of bytes) escaped += byte < 0x80 && byte !== 0x25 ? String.fromCharCode(byte) : '%' + byte.toString(16).padStart(2, '0');
  return decodeURIComponent(escaped);
}

function toUtf8(text) {
  const bytes = [];
  const encoded = encodeURIComponent(text);
  for (let at = 0; at < encoded.length; at += 1) {
    if (encoded[at] === '%') {
      bytes.push(parseInt(encoded.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(encoded.charCodeAt(at));
    }
  }
  return new Uint8Array(bytes);
}
