// Numbers, times and holders as people read them. Counts of values are decimal texts,
// because they can be larger than numbers can be.

const grouped = new Intl.NumberFormat('en');
const longest = 15;

// count groups the digits of a number. One that nobody reads is near a power of two, or it
// is rounded.
export function count(number) {
  const text = String(number);
  if (text.length <= longest) return grouped.format(BigInt(text));
  const power = Math.log2(Number(text));
  const bits = Math.round(power);
  if (Math.abs(power - bits) > 0.001) return `about ${Number(text).toExponential(2).replace('e+', ' × 10^')}`;
  return BigInt(text) === 1n << BigInt(bits) ? `2^${bits}` : `about 2^${bits}`;
}

// counted is a count with its noun.
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${String(number) === '1' ? one : many}`;
}

// percent is 0 only if nothing is allocated, and 100 only if nothing is free.
export function percent(allocated, capacity) {
  if (String(capacity) === '0') return '–';
  if (!allocated) return '0 %';
  const share = (100 * Number(allocated)) / Number(capacity);
  if (share < 0.1) return '< 0.1 %';
  return `${Math.floor(share * 10) / 10} %`;
}

// level is the step of the scale for a share: 0 for nothing, 6 for everything.
export function level(allocated, capacity) {
  if (!allocated) return 0;
  if (BigInt(allocated) >= BigInt(capacity)) return 6;
  const share = Number(allocated) / Number(capacity);
  return 1 + [0.01, 0.25, 0.5, 0.75].filter((step) => share >= step).length;
}

// levels are the words of the scale.
export const levels = ['none', 'below 1 %', 'to 25 %', 'to 50 %', 'to 75 %', 'below 100 %', 'all'];

const units = [['day', 86400], ['hour', 3600], ['minute', 60]];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' });

// age says how long ago a time was.
export function age(time) {
  const seconds = (Date.now() - new Date(time).getTime()) / 1000;
  const unit = units.find(([, length]) => seconds >= length);
  return unit ? relative.format(-Math.floor(seconds / unit[1]), unit[0]) : 'just now';
}

// until says how long it is until a time.
export function until(time) {
  const seconds = (new Date(time).getTime() - Date.now()) / 1000;
  const unit = units.find(([, length]) => seconds >= length);
  return unit ? relative.format(Math.floor(seconds / unit[1]), unit[0]) : 'within a minute';
}

// state says whether a Service holds the value of a claim.
export function state(claim) {
  if (claim.held) return 'held';
  return claim.expires ? `reserved, ends ${until(claim.expires)}` : 'reserved';
}

// holderName is the holder as kubectl shows it in columns. A Service needs no resource.
export function holderName(holder) {
  const name = holder.namespace ? `${holder.namespace}/${holder.name}` : holder.name;
  return isService(holder) ? name : `${holder.resource}/${name}`;
}

// holderNames are the holders of a claim.
export function holderNames(claim) {
  return claim.holders.map(holderName).join(', ') || 'nobody';
}

export function isService(holder) {
  return holder.resource === 'services' || holder.resource.startsWith('services.');
}

// nouns are what the values of a class are called.
export function noun(className, number = 2) {
  const one = className === 'Port' ? 'port' : 'address';
  if (String(number) === '1') return one;
  return one === 'port' ? 'ports' : 'addresses';
}
