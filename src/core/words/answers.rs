//! Texts of the page about profiles, rejected items, requests, and the results of buttons.

texts! {
    LOCKED_WHY: "
        It shows how this device is doing, to people who may see that.
        Sie zeigt denen, die es wissen dürfen, wie es diesem Gerät geht.
        Elle montre l’état de cet appareil à qui a le droit de le connaître.
        Muestra cómo está este dispositivo a quien puede saberlo.
        Den visar hur det går för enheten, för den som får veta det.";
    LINK_USED: "
        This link has been used, or is too old.
        Dieser Link wurde schon benutzt oder ist zu alt.
        Ce lien a déjà servi, ou est trop ancien.
        Este enlace ya se usó o es demasiado antiguo.
        Länken har redan använts eller är för gammal.";
    PERCENT: "
        {0}: {1} percent
        {0}: {1} Prozent
        {0} : {1} pour cent
        {0}: {1} por ciento
        {0}: {1} procent";
    NO_IDENTITY: "
        This is not an identity. Write it as third_party_id:123456 or pc_id:1368007744041-575948.01_00.
        Das ist keine Kennung. Schreiben Sie sie als third_party_id:123456 oder pc_id:1368007744041-575948.01_00.
        Ce n’est pas une identité. Écrivez-la comme third_party_id:123456 ou pc_id:1368007744041-575948.01_00.
        Esto no es una identidad. Escríbala como third_party_id:123456 o pc_id:1368007744041-575948.01_00.
        Det är ingen identitet. Skriv den som third_party_id:123456 eller pc_id:1368007744041-575948.01_00.";
    HOLDS_NOTHING: "
        This device has nothing about that identity.
        Dieses Gerät enthält nichts zu dieser Kennung.
        Cet appareil ne contient rien de cette identité.
        Este dispositivo no guarda nada de esa identidad.
        Enheten har inget om den identiteten.";
    NEWEST_OF: "
        The newest {0} of {1}.
        Die neuesten {0} von {1}.
        Les {0} plus récents sur {1}.
        Los {0} más recientes de {1}.
        De {0} senaste av {1}.";
    RETRY_NUMBER: "
        Retry number {0}
        Nummer {0} erneut versuchen
        Réessayer le numéro {0}
        Reintentar el número {0}
        Försök igen med nummer {0}";
    EVENT_OF_TYPE: "
        event {0}
        Ereignis {0}
        événement {0}
        evento {0}
        händelse {0}";
    UPDATE_OF: "
        update of {0}
        Aktualisierung von {0}
        mise à jour de {0}
        actualización de {0}
        uppdatering av {0}";
    UPDATE: "
        update
        Aktualisierung
        mise à jour
        actualización
        uppdatering";
    EVENT: "
        event
        Ereignis
        événement
        evento
        händelse";
    SUPPORT: "
        Support: {0}
        Support: {0}
        Assistance : {0}
        Soporte: {0}
        Support: {0}";
    RUNNING_SINCE: "
        Outpost {0}, running since {1}.
        Outpost {0}, läuft seit {1}.
        Outpost {0}, en marche depuis {1}.
        Outpost {0}, en marcha desde {1}.
        Outpost {0}, i gång sedan {1}.";
    AS_OF: "
        As of {0}.
        Stand {0}.
        État au {0}.
        A fecha de {0}.
        Läget {0}.";
    LIVE: "
        Live, as of {0}.
        Live, Stand {0}.
        En direct, état au {0}.
        En directo, a fecha de {0}.
        Direkt, läget {0}.";
    SENT_WITH_OTHERS: "
        {0} (sent as {1}, with what others had written)
        {0} (gesendet als {1}, mit dem, was andere geschrieben hatten)
        {0} (envoyé comme {1}, avec ce que d’autres avaient écrit)
        {0} (enviado como {1}, con lo que otros habían escrito)
        {0} (skickat som {1}, med det som andra hade skrivit)";
    PARTS: "
        {0} here, {1} elsewhere, sent {2}
        {0} hier, {1} anderswo, gesendet {2}
        {0} ici, {1} ailleurs, envoyé {2}
        {0} aquí, {1} en otros sitios, enviado {2}
        {0} här, {1} på andra håll, skickat {2}";
    PARTS_SINCE: "
        {0} here ({3} when it was sent), {1} elsewhere, sent {2}
        {0} hier ({3} beim Senden), {1} anderswo, gesendet {2}
        {0} ici ({3} lors de l’envoi), {1} ailleurs, envoyé {2}
        {0} aquí ({3} al enviarse), {1} en otros sitios, enviado {2}
        {0} här ({3} när det skickades), {1} på andra håll, skickat {2}";
    EVENT_GONE: "
        Event {0}, no longer in the journal
        Ereignis {0}, nicht mehr im Journal
        Événement {0}, qui n’est plus dans le journal
        Evento {0}, que ya no está en el diario
        Händelse {0}, inte längre i journalen";
    IS_DUPLICATE: "
        a duplicate, received once more on {1}; counted once|a duplicate, received {0} times more, last on {1}; counted once
        Duplikat, kam am {1} noch einmal; einmal gezählt|Duplikat, kam noch {0}-mal, zuletzt am {1}; einmal gezählt
        doublon, revenu le {1} ; compté une seule fois|doublon, revenu {0} fois, la dernière le {1} ; compté une seule fois
        duplicado, volvió a llegar el {1}; contado una sola vez|duplicado, llegó {0} veces más, la última el {1}; contado una sola vez
        dubblett, kom igen {1}; räknad en gång|dubblett, kom {0} gånger till, senast {1}; räknad en gång";
    REJECTED_AS: "
        rejected as number {0}
        abgelehnt als Nummer {0}
        rejeté sous le numéro {0}
        rechazado con el número {0}
        avvisad som nummer {0}";
    REJECTED_GONE: "
        rejected, and discarded since
        abgelehnt und seither verworfen
        rejeté, puis abandonné
        rechazado y descartado después
        avvisad och sedan slängd";
    IS_UNMAPPED: "
        unmapped
        ohne Zuordnung
        sans correspondance
        sin asignación
        utan mappning";
    SET_BY_EVENT: "
        {0}, event of {1}
        {0}, Ereignis vom {1}
        {0}, événement du {1}
        {0}, evento del {1}
        {0}, händelse {1}";
    PENDING: "
        pending
        wartet
        en attente
        pendiente
        väntar";
    IN_FLIGHT: "
        in flight
        unterwegs
        en route
        en camino
        på väg";
    DELIVERED_ON: "
        delivered on {0}
        geliefert am {0}
        livré le {0}
        entregado el {0}
        levererat {0}";
    SUPERSEDED: "
        superseded
        überholt
        remplacé
        sustituido
        ersatt";
    NOT_SENT: "
        not sent
        nicht gesendet
        non envoyé
        no enviado
        skickas inte";
    REFUSED_STATE: "
        refused
        abgelehnt
        refusé
        rechazado
        avvisat";
    TRIED_NOW: "
        Retrying now.
        Es wird jetzt versucht.
        La tentative a lieu maintenant.
        Se intenta ahora.
        Det försöks nu.";
    TRIED_WAITS: "
        Nothing is sent before the time shown here: Adobe Target asked to wait, or the quota is used up.
        Vor der hier genannten Zeit wird nichts versucht: Adobe Target hat zu warten gebeten, oder das Kontingent ist verbraucht.
        Rien n’est tenté avant l’heure indiquée ici : Adobe Target a demandé d’attendre, ou le quota est épuisé.
        No se intenta nada antes de la hora indicada aquí: Adobe Target pidió esperar o la cuota está agotada.
        Inget försöks före den tid som anges här: Adobe Target bad om att vänta, eller kvoten är slut.";
    STILL_REJECTED: "
        Number {0} is still rejected; its reason is below.
        Nummer {0} ist weiterhin abgelehnt; der Grund steht unten.
        Le numéro {0} est encore rejeté ; sa raison est ci-dessous.
        El número {0} sigue rechazado; el motivo está abajo.
        Nummer {0} är fortfarande avvisat; skälet står nedan.";
    RETRIED: "
        Number {0} was retried, and is sent automatically.
        Nummer {0} wurde erneut versucht und geht von selbst hinaus.
        Le numéro {0} a été réessayé, et part de lui-même.
        El número {0} se reintentó y sale por sí solo.
        Nummer {0} försöktes igen och skickas av sig självt.";
    RETRIED_UNMAPPED: "
        Number {0} was retried, and no mapping matches it any more.
        Nummer {0} wurde erneut versucht, und keine Zuordnung passt mehr dazu.
        Le numéro {0} a été réessayé, et plus aucune correspondance ne lui convient.
        El número {0} se reintentó y ya no encaja en ninguna asignación.
        Nummer {0} försöktes igen, och ingen mappning passar längre.";
    RETRIED_OUTDATED: "
        Number {0} has newer values by now, which are sent automatically.
        Nummer {0} hat seither neuere Werte, die von selbst hinausgehen.
        Le numéro {0} a depuis des valeurs plus récentes, qui partent d’elles-mêmes.
        El número {0} tiene valores más recientes, que salen por sí solos.
        Nummer {0} har nyare värden sedan dess, som skickas av sig själva.";
    RETRIED_GONE: "
        Number {0} has been retried or discarded in the meantime.
        Nummer {0} wurde inzwischen erneut versucht oder verworfen.
        Le numéro {0} a été réessayé ou abandonné entre-temps.
        El número {0} se reintentó o se descartó entretanto.
        Nummer {0} har under tiden försökts igen eller slängts.";
    RETRIED_ALL: "
        {0} was tried again.|{0} were tried again.
        {0} wurde erneut versucht.|{0} wurden erneut versucht.
        {0} a été réessayé.|{0} ont été réessayés.
        {0} se reintentó.|{0} se reintentaron.
        {0} försöktes igen.|{0} försöktes igen.";
    RETRIED_STILL: "
        {0} is still rejected.|{0} are still rejected.
        {0} ist weiterhin abgelehnt.|{0} sind weiterhin abgelehnt.
        {0} est encore rejeté.|{0} sont encore rejetés.
        {0} sigue rechazado.|{0} siguen rechazados.
        {0} är fortfarande avvisat.|{0} är fortfarande avvisade.";
    MAPPING_FAILED: "
        the mapping failed
        die Zuordnung ist fehlgeschlagen
        la correspondance a échoué
        la asignación falló
        mappningen misslyckades";
    COALESCE_FAILED: "
        the value cannot be combined with the profile's
        der Wert lässt sich mit dem des Profils nicht verbinden
        la valeur ne se combine pas avec celle du profil
        el valor no se puede combinar con el del perfil
        värdet kan inte förenas med profilens";
    REFUSED_BY_TARGET: "
        refused by Target
        von Target abgelehnt
        refusé par Target
        rechazado por Target
        avvisat av Target";
    REFUSED_BY_HUB: "
        refused by the hub
        vom Hub abgelehnt
        refusé par le hub
        rechazado por el hub
        avvisat av hubben";
    TOO_LARGE: "
        too large
        zu groß
        trop grand
        demasiado grande
        för stort";
    EMPTY_VALUE: "
        the value is empty
        der Wert ist leer
        la valeur est vide
        el valor está vacío
        värdet är tomt";
    NEWER_VALUE: "
        Target has a newer value, or a better number
        Target hat einen neueren Wert oder eine bessere Zahl
        Target a une valeur plus récente, ou un meilleur nombre
        Target tiene un valor más reciente o un número mejor
        Target har ett nyare värde eller ett bättre tal";
    PROFILE_MISSING: "
        Target does not have the profile, and a single update would vanish; use mode = \"auto\", or wait until the customer has visited the web site
        Target hat das Profil nicht, und eine einzelne Aktualisierung ginge verloren; verwenden Sie mode = \"auto\", oder warten Sie, bis der Kunde die Website besucht hat
        Target n’a pas le profil, et une mise à jour individuelle disparaîtrait ; utilisez mode = \"auto\", ou attendez que le client ait visité le site web
        Target no tiene el perfil, y una actualización individual se perdería; use mode = \"auto\" o espere a que el cliente visite el sitio web
        Target har inte profilen, och en enskild uppdatering skulle försvinna; använd mode = \"auto\", eller vänta tills kunden har besökt webbplatsen";
    BATCH_FAILED: "
        its row failed in several batches
        seine Zeile ist in mehreren Stapeln fehlgeschlagen
        sa ligne a échoué dans plusieurs lots
        su fila falló en varios lotes
        dess rad misslyckades i flera satser";
    OTHER_DEVICE: "
        the attribute carries the name of another device, or of this one before it was renamed, and is no longer sent; new events write attributes with this device's name
        das Attribut trägt den Namen eines anderen Geräts, oder dieses Geräts vor seiner Umbenennung, und wird nicht mehr gesendet; neue Ereignisse schreiben Attribute mit dem Namen dieses Geräts
        l’attribut porte le nom d’un autre appareil, ou de celui-ci avant qu’il soit renommé, et n’est plus envoyé ; les nouveaux événements écrivent des attributs au nom de cet appareil
        el atributo lleva el nombre de otro dispositivo, o de este antes de cambiarle el nombre, y ya no se envía; los eventos nuevos escriben atributos con el nombre de este dispositivo
        attributet bär en annan enhets namn, eller den här enhetens innan den bytte namn, och skickas inte längre; nya händelser skriver attribut med den här enhetens namn";
    WAS_DELIVERED: "
        delivered
        geliefert
        livré
        entregado
        levererat";
    WAS_REFUSED: "
        refused
        abgelehnt
        refusé
        rechazado
        avvisat";
    WAS_TOO_LARGE: "
        too large, and split
        zu groß, geteilt
        trop grand, divisé
        demasiado grande, dividido
        för stort, delat";
    WAS_FOREIGN: "
        not Target's answer
        nicht Targets Antwort
        pas la réponse d’Adobe Target
        no es la respuesta de Target
        inte Targets svar";
    WAS_LOST: "
        the connection broke off
        die Verbindung brach ab
        la connexion a été coupée
        la conexión se cortó
        anslutningen bröts";
    WAS_UNREACHABLE: "
        no connection
        keine Verbindung
        pas de connexion
        sin conexión
        ingen anslutning";
    WAS_UNAUTHORIZED: "
        token not accepted
        Token nicht angenommen
        jeton non accepté
        token no aceptado
        token godtogs inte";
    WAS_THROTTLED: "
        asked to wait
        um Warten gebeten
        attente demandée
        pidió esperar
        bad om att vänta";
    WAS_FAILING: "
        server error or no answer in time
        Serverfehler oder keine Antwort rechtzeitig
        erreur du serveur ou pas de réponse à temps
        error del servidor o sin respuesta a tiempo
        serverfel eller inget svar i tid";
    WAS_TOLD: "
        answered
        beantwortet
        répondu
        respondido
        besvarad";
    WAS_FOUND: "
        profile found
        Profil gefunden
        profil trouvé
        perfil encontrado
        profilen hittades";
    WAS_MISSING: "
        profile not there
        Profil nicht vorhanden
        profil absent
        perfil inexistente
        profilen finns inte";
    WAS_SUBMITTED: "
        batch taken
        Stapel angenommen
        lot accepté
        lote aceptado
        satsen togs emot";
}
