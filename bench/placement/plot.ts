/** Draws max/mean over time as SVG, one line for each policy. */

export interface Line {
  readonly name: string;
  /** One value a second; NaN: none. */
  readonly values: readonly number[];
}

const WIDTH = 760;
const HEIGHT = 340;
const LEFT = 64;
const RIGHT = 150;
const TOP = 44;
const BOTTOM = 44;
/** In black and white, the labels at the end of each line distinguish them. */
const COLOURS = ['#0b6e4f', '#c0392b', '#7f8c8d', '#8e6bbf', '#d68910'];
/** The axis shows the distance to the ideal, on a logarithmic scale: the values span four powers of ten. */
const LOWEST = 0.001;
const HIGHEST = 30;
const TICKS = [0.001, 0.01, 0.05, 0.15, 0.5, 1, 10];

export function plot(title: string, subtitle: string, lines: readonly Line[]): string {
  const seconds = Math.max(...lines.map(({ values }) => values.length));
  const x = (second: number) => LEFT + ((WIDTH - LEFT - RIGHT) * second) / seconds;
  const y = (distance: number) => {
    const part =
      Math.log(Math.min(HIGHEST, Math.max(LOWEST, distance)) / LOWEST) / Math.log(HIGHEST / LOWEST);
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
  };
  const grid = TICKS.map(
    (tick) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${f(y(tick))}" y2="${f(y(tick))}" stroke="#e3e3e3"/>` +
      `<text x="${LEFT - 8}" y="${f(y(tick) + 4)}" text-anchor="end">${tick + 1}</text>`,
  );
  const every = [10, 30, 60, 120].find((step) => seconds / step <= 8) ?? 120;
  const times = Array.from({ length: Math.floor(seconds / every) + 1 }, (_, i) => i * every).map(
    (second) =>
      `<text x="${f(x(second))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${second} s</text>`,
  );
  const ends = spread(lines.map(({ values }) => y((values.findLast((value) => value > 0) ?? 1) - 1)));
  const drawn = lines.map(({ name, values }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    return (
      `<path d="${path(values, x, y)}" fill="none" stroke="${colour}" stroke-width="${i === 0 ? 2.2 : 1.4}"/>` +
      `<text x="${WIDTH - RIGHT + 8}" y="${f((ends[i] ?? 0) + 4)}" fill="${colour}">${name}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="20" font-size="15" font-weight="bold">${title}</text>`,
    `<text x="${LEFT}" y="36" fill="#777">${subtitle}</text>`,
    ...grid,
    ...times,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

function path(
  values: readonly number[],
  x: (second: number) => number,
  y: (distance: number) => number,
): string {
  let text = '';
  let isDown = false;
  for (const [second, value] of values.entries()) {
    if (Number.isNaN(value)) {
      isDown = false;
      continue;
    }
    text += `${isDown ? 'L' : 'M'}${f(x(second))} ${f(y(value - 1))}`;
    isDown = true;
  }
  return text;
}

/** Moves labels apart that would cover each other. */
function spread(positions: readonly number[]): number[] {
  const order = positions.map((_, i) => i).sort((a, b) => (positions[a] ?? 0) - (positions[b] ?? 0));
  const placed: number[] = [...positions];
  let last = -Infinity;
  for (const i of order) {
    last = Math.max(last + 15, positions[i] ?? 0);
    placed[i] = last;
  }
  const over = Math.max(0, last - (HEIGHT - BOTTOM));
  return placed.map((position) => position - over);
}

function f(value: number): string {
  return String(Math.round(value * 10) / 10);
}
