/** The pictures of docs/diagrams: each NAME.dot becomes NAME.svg, by Graphviz as WebAssembly. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { instance } from '@viz-js/viz';

/** Colours by class, on a panel of its own: a page may be light or dark. Classes: server, engine; hot, quiet. */
const STYLE = `
  text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2937; stroke: none }
  .panel { fill: #ffffff; stroke: #d1d5db }
  .node path, .node polygon { stroke: #64748b; stroke-width: 1.2; fill: #f8fafc }
  .server path { fill: #e6f0fa; stroke: #5b84b1 }
  .engine path { fill: #f6efe0; stroke: #b09456 }
  .cluster path, .cluster polygon { fill: none; stroke: #94a3b8; stroke-dasharray: 4 3 }
  .cluster text { fill: #64748b }
  .edge path { stroke: #64748b; stroke-width: 1.2; fill: none }
  .edge polygon { stroke: #64748b; fill: #64748b }
  .edge text { fill: #475569; stroke: #ffffff; stroke-width: 5; stroke-linejoin: round; paint-order: stroke }
  .hot path { stroke: #2f6fb0; stroke-width: 2.4 }
  .hot polygon { stroke: #2f6fb0; fill: #2f6fb0 }
  .quiet path { stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb }
    .panel { fill: #161b22; stroke: #30363d }
    .node path, .node polygon { fill: #1f2630; stroke: #7d8896 }
    .server path { fill: #1d2f44; stroke: #5b84b1 }
    .engine path { fill: #352d1c; stroke: #a58b54 }
    .edge path { stroke: #8b96a5 }
    .edge polygon { stroke: #8b96a5; fill: #8b96a5 }
    .edge text, .cluster text { fill: #a3adba }
    .edge text { stroke: #161b22 }
    .hot path { stroke: #6aa9e8 }
    .hot polygon { stroke: #6aa9e8; fill: #6aa9e8 }
  }
`;

/** Returns the texts of the pictures by their names. @param folder of the .dot files */
export async function renderDiagrams(folder: string): Promise<Map<string, string>> {
  const graphviz = await instance();
  const sources = readdirSync(folder).filter((file) => file.endsWith('.dot'));
  return new Map(
    sources.sort().map((file) => {
      const svg = graphviz.renderString(readFileSync(join(folder, file), 'utf8'), { format: 'svg' });
      return [file.replace(/dot$/, 'svg'), styled(svg)];
    }),
  );
}

/** Leaves colours and fonts to the style sheet. */
function styled(svg: string): string {
  const [, width, height] = /<svg width="(\d+)pt" height="(\d+)pt"/.exec(svg) as unknown as [
    string,
    string,
    string,
  ];
  return svg
    .replace(/^[\s\S]*?<svg[^>]*>\n/, '')
    .replace(/<!--.*?-->\n/g, '')
    .replace(/ (fill|stroke|font-family|stroke-width|stroke-dasharray)="[^"]*"/g, '')
    .replace(/<title>[^<]*<\/title>\n/g, '')
    .replace(/<polygon points="[^"]*"\/>\n/, '')
    .replace(
      /^/,
      `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">\n` +
        `<style>${STYLE}</style>\n<rect class="panel" x=".5" y=".5" width="${Number(width) - 1}" height="${Number(height) - 1}" rx="8"/>\n`,
    );
}
