/** The OpenAPI document: what fastify and zod say of the routes, with the schemas that many share in one place. */
import { createJsonSchemaTransformObject } from 'fastify-type-provider-zod';

type Transform = ReturnType<typeof createJsonSchemaTransformObject>;
type Json = Record<string, unknown>;

const withSchemas = createJsonSchemaTransformObject({});
const SHARED = '#/components/schemas/';

/** Adds the shared schemas to a document. A response that is one of them is described as it is. */
export const completeDocument: Transform = (made) => {
  const document = withSchemas(made) as { components: { schemas: Record<string, Json> } };
  const { schemas } = document.components;
  // The schemas are those of answers; zod describes each as input too.
  for (const name of Object.keys(schemas)) if (name.endsWith('Input')) delete schemas[name];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { description, content } = node as { description?: unknown; content?: Json };
    if (description === 'Default Response' && content !== undefined)
      (node as Json)['description'] = schemas[sharedIn(content)]?.['description'];
    for (const child of Object.values(node)) visit(child);
  };
  visit(document);
  return document;
};

/** Returns the name of the shared schema that a response is. */
function sharedIn(content: Json): string {
  const [media] = Object.values(content) as { schema?: { $ref?: string } }[];
  return (media?.schema?.$ref ?? '').slice(SHARED.length);
}
